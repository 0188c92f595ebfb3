{{- define "tepal.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "tepal.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "tepal.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tepal.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tepal.server.fullname" -}}
{{- default (printf "%s-server" (include "tepal.fullname" .)) .Values.server.fullnameOverride }}
{{- end }}

{{- /* (list . "server"): what selects the pods of a component. Never changes: a Deployment's selector cannot. */}}
{{- define "tepal.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ include "tepal.name" $top }}
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "tepal.labels" -}}
{{- $top := index . 0 -}}
{{ include "tepal.selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tepal
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* (list . overrides): the image, with what is given in `overrides` instead. */}}
{{- define "tepal.image" -}}
{{- $top := index . 0 -}}
{{- $image := $top.Values.image -}}
{{- with index . 1 }}{{ $image = merge (deepCopy .) (pick $image "pullPolicy") }}{{ end -}}
image: {{ if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ default $top.Chart.AppVersion $image.tag }}{{ end }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- end }}

{{- /* (list . part component): what the pods of every part have in common. Labels of a pod carry no version of the
chart, so that an upgrade of the chart alone starts no pod anew. */}}
{{- define "tepal.podMetadata" -}}
{{- $top := index . 0 -}}
{{- $part := index . 1 -}}
labels:
  {{- include "tepal.selector" (list $top (index . 2)) | nindent 2 }}
  app.kubernetes.io/part-of: tepal
  {{- with merge (deepCopy (default dict $part.podLabels)) $top.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "tepal.podCommon" -}}
{{- $top := index . 0 -}}
{{- $part := index . 1 -}}
{{- with $top.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* A pause before SIGTERM. The action `sleep` is on by default from Kubernetes 1.30. */}}
{{- define "tepal.preStop" -}}
{{- $seconds := int (index . 1) -}}
{{- if gt $seconds 0 }}
lifecycle:
  preStop:
    {{- if semverCompare ">=1.30-0" (index . 0).Capabilities.KubeVersion.Version }}
    sleep: {seconds: {{ $seconds }}}
    {{- else }}
    exec: {command: [sleep, {{ $seconds | quote }}]}
    {{- end }}
{{- end }}
{{- end }}

{{- /* (list . "auto"|true|false "kind"): "true" or nothing. */}}
{{- define "tepal.wanted" -}}
{{- $asked := toString (index . 1) -}}
{{- if or (eq $asked "true") (and (eq $asked "auto") ((index . 0).Capabilities.APIVersions.Has (index . 2))) }}true{{ end }}
{{- end }}

{{- define "tepal.podDisruptionBudget" -}}
{{- $top := index . 0 -}}
{{- $budget := index . 1 -}}
{{- if $budget.enabled }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ index . 3 }}
  namespace: {{ $top.Release.Namespace }}
  labels:
    {{- include "tepal.labels" (list $top (index . 2)) | nindent 4 }}
spec:
  maxUnavailable: {{ $budget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "tepal.selector" (list $top (index . 2)) | nindent 6 }}
{{- end }}
{{- end }}

{{- define "tepal.serviceAccount" -}}
{{- $top := index . 0 -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ index . 2 }}
  namespace: {{ $top.Release.Namespace }}
  labels:
    {{- include "tepal.labels" (list $top (index . 1)) | nindent 4 }}
  {{- with $top.Values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
