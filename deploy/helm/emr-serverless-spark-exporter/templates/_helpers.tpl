{{- define "exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* At most 52 characters: a StatefulSet's pods carry it in a label, with a hash of eleven. */ -}}
{{- define "exporter.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := include "exporter.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: exporter
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "exporter.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "exporter.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* What a probe asks, of (context, path). */ -}}
{{- define "exporter.probe" -}}
{{- $values := (first .).Values }}
{{- if $values.guarded -}}
tcpSocket: {port: http}
{{- else if $values.serviceMonitor.basicAuth -}}
{{- fail "serviceMonitor.basicAuth is set, so the exporter asks for passwords: set guarded, or its probes are refused" }}
{{- else -}}
httpGet: {path: {{ last . }}, port: http, scheme: {{ $values.scheme }}}
{{- end }}
{{- end }}

{{- /* The settings: those of the values, and for an account without credentials the Secret's files. */ -}}
{{- define "exporter.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if .Values.existingSecret.name }}
{{- $secrets := "/var/run/secrets/emr-serverless-spark-exporter" }}
{{- $accounts := list }}
{{- range $config.accounts }}
{{- if hasKey . "credentials" }}
{{- $accounts = append $accounts . }}
{{- else }}
{{- $files := dict "type" "static" "access_key_id_file" (printf "%s/access-key-id" $secrets) "access_key_secret_file" (printf "%s/access-key-secret" $secrets) }}
{{- $accounts = append $accounts (merge (dict "credentials" $files) .) }}
{{- end }}
{{- end }}
{{- $_ := set $config "accounts" $accounts }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* A file of rules or a dashboard, whose links to the documentation lead to where the values say: (list root text). */}}
{{- define "exporter.linked" -}}
{{- $text := index . 1 -}}
{{- with (index . 0).Values.documentationUrl -}}
{{- $text = regexReplaceAllLiteral "http://[^/]*/-/docs" $text (trimSuffix "/" .) -}}
{{- end -}}
{{- $text -}}
{{- end }}
