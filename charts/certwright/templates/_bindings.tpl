{{- define "certwright.clusterBinding" }}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ include "certwright.fullname" . }}
  labels:
    {{- include "certwright.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ include "certwright.fullname" . }}
subjects:
  {{- include "certwright.subject" . | nindent 2 }}
{{- end -}}

{{- /* Binds the Role `name` in `namespace`. */ -}}
{{- define "certwright.binding" }}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "certwright.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  {{- include "certwright.subject" .root | nindent 2 }}
{{- end -}}

{{- define "certwright.subject" -}}
- kind: ServiceAccount
  name: {{ include "certwright.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
