{{- define "tepal.metricsAPI.fullname" -}}
{{ include "tepal.fullname" . }}-metrics-api
{{- end }}

{{- define "tepal.metricsAPI.secret" -}}
{{- if eq .Values.metricsAPI.tls.mode "secret" -}}
{{ required "metricsAPI.tls.secretName: expected the name of a Secret where metricsAPI.tls.mode is secret" .Values.metricsAPI.tls.secretName }}
{{- else -}}
{{ default (printf "%s-tls" (include "tepal.metricsAPI.fullname" .)) .Values.metricsAPI.tls.secretName }}
{{- end -}}
{{- end }}

{{- /* (list . "server"): the pods of a component, as a label selector. */}}
{{- define "tepal.metricsAPI.selector" -}}
{{- $pairs := list }}
{{- range $key, $value := include "tepal.selector" . | fromYaml }}{{ $pairs = append $pairs (printf "%s=%s" $key $value) }}{{ end }}
{{- join "," $pairs }}
{{- end }}
