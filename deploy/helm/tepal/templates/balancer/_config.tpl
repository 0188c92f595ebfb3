{{- /* The file of `tepal balance --config` (docs/balancer.md). */}}
{{- define "tepal.balancer.config" -}}
{{- $balancer := .Values.balancer }}
{{- $pool := .Release.Name }}
{{- $tls := not (empty $balancer.tls.secretName) }}
{{- $endpoints := $balancer.endpoints }}
{{- $follow := dict }}
{{- if and .Values.server.enabled (eq $balancer.discovery "endpointSlices") }}
{{- $follow = dict "service" (include "tepal.server.fullname" .) "namespace" .Release.Namespace "port" "http" "grpc_port" "grpc" }}
{{- else if .Values.server.enabled }}
{{- $address := printf "%s.%s.svc.%s:%d" (include "tepal.server.fullname" .) .Release.Namespace .Values.clusterDomain (int .Values.server.ports.http) }}
{{- $endpoints = prepend $endpoints (dict "address" $address "grpc_port" (int .Values.server.ports.grpc) "resolve" true) }}
{{- end }}
{{- if not (or $endpoints $follow) }}{{ fail "balancer.endpoints: empty, expected endpoints where server.enabled is false" }}{{ end }}
{{- $settings := dict "queue" (dict "time_max" "60s") }}
{{- if $endpoints }}{{ $_ := set $settings "endpoints" $endpoints }}{{ end }}
{{- if $follow }}{{ $_ := set $settings "kubernetes" $follow }}{{ end }}
{{- if $tls }}
{{- $files := dict "certificate" "/etc/tepal/tls/tls.crt" "key" "/etc/tepal/tls/tls.key" }}
{{- if $balancer.tls.clientCA }}{{ $_ := set $files "client_ca" "/etc/tepal/tls/ca.crt" }}{{ end }}
{{- $_ := set $settings "client_tls" $files }}
{{- end }}
{{- $admin := dict "address" "0.0.0.0:8080" "write" $balancer.admin.write }}
{{- if $balancer.admin.tokensSecret }}{{ $_ := set $admin "tokens_file" "/etc/tepal/tokens/tokens" }}{{ end }}
{{- if and $balancer.admin.write (not $balancer.admin.tokensSecret) }}{{ fail "balancer.admin.write: true without balancer.admin.tokensSecret, so whoever reaches the admin address could change the endpoints" }}{{ end }}
{{- $listeners := list (dict "address" "0.0.0.0:8000" "pool" $pool "tls" $tls) (dict "address" "0.0.0.0:8001" "pool" $pool "tls" $tls) }}
{{- $all := dict "listeners" $listeners "pools" (dict $pool (mergeOverwrite $settings (deepCopy $balancer.pool))) "admin" $admin }}
{{- toYaml (mergeOverwrite $all (deepCopy $balancer.config)) }}
{{- end }}
