{{- /* What the operator may do where it looks after Certificates. Each rule says what for. */ -}}
{{- define "certwright.rules" -}}
rules:
  # To know what is wanted. The specs are the users': the operator never writes them.
  - apiGroups: [certwright.dev]
    resources: [certificates, issuers, servedchecks]
    verbs: [get, list, watch]
  # To say what is held, or shown, and what is wrong. Status is written by server-side apply, which is a patch.
  - apiGroups: [certwright.dev]
    resources: [certificates/status, issuers/status, servedchecks/status]
    verbs: [patch]
  # To store certificates and keys where the users name them, to read CAs, and to see both change: list and watch
  # can't be limited by label or type. Server-side apply is a patch, and needs create where nothing is there yet.
  # Deleted are only keys of our own that were kept until their certificate came, and pairs that were kept to go back to. A Secret that goes with its Certificate
  # is collected by its ownerReference.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, list, watch, create, patch, delete]
  {{- if .Values.rollout.enabled }}
  # To find the workloads that read a Secret, to note on them which certificate they run with, and to restart them.
  - apiGroups: [apps]
    resources: [deployments, statefulsets, daemonsets]
    verbs: [get, list, watch, patch]
  # To learn what a workload's Pods were made from before, where it may refuse its certificate.
  - apiGroups: [apps]
    resources: [replicasets, controllerrevisions]
    verbs: [list]
  {{- range .Values.rollout.kinds }}
  # The same for other kinds.
  - apiGroups: [{{ (splitList "/" .apiVersion) | first }}]
    resources: [{{ .plural }}]
    verbs: [get, list, watch, patch]
  {{- end }}
  # To see ConfigMaps change whose readers are to be restarted by their label: list and watch can't be limited by it.
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [list, watch]
  # To know what a namespace says of the rollouts in it. A Role gives away its own one by name, and no list.
  - apiGroups: [""]
    resources: [namespaces]
    verbs: [{{ if .Values.watchNamespaces }}get{{ else }}list, watch{{ end }}]
  # To learn when a workload's current Pods were started, before or after the Secret last changed, and where they serve it.
  - apiGroups: [""]
    resources: [pods]
    verbs: [list]
  {{- if ne .Values.rollout.probeInterval "0s" }}
  # To learn which hosts are to show a Secret's certificate, and where.
  - apiGroups: [networking.k8s.io]
    resources: [ingresses]
    verbs: [list, watch]
  {{- end }}
  {{- end }}
  {{- if .Values.acme.ownPods.enabled }}
  # To know whether a private address that an Issuer leads to is that of a Pod of its own namespace, or of a Service that leads
  # to such Pods alone.
  - apiGroups: [""]
    resources: [pods]
    verbs: [list]
  {{- end }}
  {{- $probes := and .Values.rollout.enabled (ne .Values.rollout.probeInterval "0s") }}
  {{- if or .Values.acme.ownPods.enabled $probes (not .Values.watchNamespaces) }}
  {{- include "certwright.addressRules" . }}
  {{- end }}
  {{- if .Values.acme.http01.enabled }}
  # To lead an ACME CA's questions from the front door to the operator, as long as a CA asks: a Service without selector...
  - apiGroups: [""]
    resources: [services]
    verbs: [get, create, patch, delete]
  # ...with EndpointSlices of the operator's own addresses.
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [get, create, patch, delete]
  {{- include "certwright.routeRules" . }}
  {{- end }}
  {{- include "certwright.eventRule" . }}
{{- end -}}

{{- define "certwright.addressRules" }}
  # To know which addresses Services have: the API server's is never asked for those who write Issuers, and those that lead to
  # a workload's Pods are asked for its certificate...
  - apiGroups: [""]
    resources: [services]
    verbs: [list]
  # ...and where they lead.
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [list]
{{- end -}}

{{- define "certwright.routeRules" }}
  # What leads there by Ingress; patched are also Ingresses of the users that an issuer names to be edited.
  - apiGroups: [networking.k8s.io]
    resources: [ingresses]
    verbs: [get, create, patch, delete]
  # What leads there by Gateway API.
  - apiGroups: [gateway.networking.k8s.io]
    resources: [httproutes]
    verbs: [get, create, patch, delete]
{{- end -}}

{{- define "certwright.clusterIssuerRules" }}
  # To know who signs for the whole cluster.
  - apiGroups: [certwright.dev]
    resources: [clusterissuers]
    verbs: [get, list, watch]
  # To say whether they can.
  - apiGroups: [certwright.dev]
    resources: [clusterissuers/status]
    verbs: [patch]
{{- end -}}

{{- define "certwright.eventRule" }}
  # To tell users what happened.
  - apiGroups: [events.k8s.io]
    resources: [events]
    verbs: [create]
{{- end -}}
