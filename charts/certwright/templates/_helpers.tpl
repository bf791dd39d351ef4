{{- define "certwright.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "certwright" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-certwright" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "certwright.selectorLabels" -}}
app.kubernetes.io/name: certwright
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "certwright.labels" -}}
{{ include "certwright.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{- define "certwright.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* "true" or nothing. */ -}}
{{- define "certwright.clusterIssuers" -}}
{{- if or (eq .Values.clusterIssuers "Enabled") (and (eq .Values.clusterIssuers "Auto") (not .Values.watchNamespaces)) -}}
true
{{- end -}}
{{- end -}}

{{- define "certwright.clusterResourceNamespace" -}}
{{- .Values.clusterResourceNamespace | default .Release.Namespace -}}
{{- end -}}

{{- /* As --rollout-kinds takes them. */ -}}
{{- define "certwright.rolloutKinds" -}}
{{- range $at, $kind := .Values.rollout.kinds -}}
{{- if $at }},{{ end -}}
{{- printf "%s/%s:%s" .apiVersion .kind .plural -}}
{{- with .podTemplate }}:{{ . }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* The operator's name to the API server. */ -}}
{{- define "certwright.username" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "certwright.fullname" .) -}}
{{- end -}}
