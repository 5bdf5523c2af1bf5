{{- define "modelwatch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 48 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the objects; what is added to it ("-database-headless") must fit into 63 characters. */}}
{{- define "modelwatch.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- else if contains (include "modelwatch.name" .) .Release.Name -}}
{{- .Release.Name | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "modelwatch.name" .) | trunc 44 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select pods: those of (dict "root" . "component" "server"). They never change. */}}
{{- define "modelwatch.selector" -}}
app.kubernetes.io/name: {{ include "modelwatch.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "modelwatch.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "modelwatch.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ include "modelwatch.name" .root }}
app.kubernetes.io/managed-by: {{ ternary .root.Release.Service "kubectl" .root.Values.hooks.enabled }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Everything of metadata but the name, of (dict "root" . "component" "server" "labels" … "annotations" …). */}}
{{- define "modelwatch.metadata" -}}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "modelwatch.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "modelwatch.image" -}}
{{- $tag := .image.tag | default .appVersion -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ $tag }}
{{- end -}}
{{- end -}}

{{- define "modelwatch.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "modelwatch.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* http or https: the scheme, and the name of the port. */}}
{{- define "modelwatch.scheme" -}}
{{ ternary "https" "http" .Values.tls.enabled }}
{{- end -}}

{{/* A value as a setting's text. Helm reads every number as a float, and would write 20000000 as 2e+07. */}}
{{- define "modelwatch.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ int64 . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end -}}

{{/* The Secret with the URL of the store, and the key in it. Empty: there is none. */}}
{{- define "modelwatch.databaseSecret" -}}
{{- $database := .Values.database -}}
{{- if eq $database.kind "bundled" -}}
{{ $database.bundled.existingSecret | default (printf "%s-database" (include "modelwatch.fullname" .)) }}
{{- else if eq $database.kind "external" -}}
{{ $database.external.existingSecret | default (printf "%s-database-url" (include "modelwatch.fullname" .)) }}
{{- end -}}
{{- end -}}

{{- define "modelwatch.databaseKey" -}}
{{ ternary .Values.database.external.key "DATABASE_URL" (eq .Values.database.kind "external") }}
{{- end -}}

{{/* Where settings come from, for the service and for the migration. */}}
{{- define "modelwatch.environment" -}}
envFrom:
  - configMapRef:
      name: {{ include "modelwatch.fullname" . }}
  {{- if .Values.secrets.values }}
  - secretRef:
      name: {{ include "modelwatch.fullname" . }}
  {{- end }}
  {{- with .Values.secrets.existingSecret }}
  - secretRef:
      name: {{ . }}
  {{- end }}
  {{- with .Values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or (include "modelwatch.databaseSecret" .) .Values.extraEnv }}
env:
  {{- with include "modelwatch.databaseSecret" . }}
  - name: DATABASE_URL
    valueFrom:
      secretKeyRef:
        name: {{ . }}
        key: {{ include "modelwatch.databaseKey" $ }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What can't be said in values.schema.json, or not in words that help. */}}
{{- define "modelwatch.check" -}}
{{- range $path, $image := dict "image" .Values.image "database.bundled.image" .Values.database.bundled.image -}}
{{- if eq $image.tag "latest" -}}
{{- fail (printf "%s.tag=latest is no version: two pods might run different programs. Name a version, or a digest" $path) -}}
{{- end -}}
{{- end -}}
{{- $secret := list "SLACK_WEBHOOK_URL" "PAGERDUTY_INTEGRATION_KEY" "SMTP_URL" "ALERT_WEBHOOK_SECRET" "ENCRYPTION_KEY" -}}
{{- range $name, $_ := .Values.config -}}
{{- if has $name $secret -}}
{{- fail (printf "config.%s is secret: give it in secrets.values, or in a Secret that secrets.existingSecret names" $name) -}}
{{- end -}}
{{- end -}}
{{- $elsewhere := dict "PORT" "service.port" "DATA_DIR" "extraVolumes" "DATABASE_URL" "database" "TLS_CERTFILE" "tls" "TLS_KEYFILE" "tls" "MONITORS_PATH" "monitors" -}}
{{- range $group, $names := dict "config" .Values.config "secrets.values" .Values.secrets.values -}}
{{- range $name, $_ := $names -}}
{{- if hasKey $elsewhere $name -}}
{{- fail (printf "%s.%s is set by the chart: see %s" $group $name (get $elsewhere $name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- /* Nobody would read a misspelt one. There is no edit distance here, so those that begin alike are named. Names in
secrets.values may be any: a file of channels refers to them. */ -}}
{{- $settings := .Files.Lines "files/settings.txt" -}}
{{- range $name, $_ := .Values.config -}}
{{- if not (has $name $settings) -}}
{{- $alike := list -}}
{{- range $settings -}}
{{- if hasPrefix (printf "%s_" (first (splitList "_" $name))) . }}{{ $alike = append $alike . }}{{ end -}}
{{- end -}}
{{- $hint := "docs/settings.md lists all settings; variables of your own belong in extraEnv" -}}
{{- with $alike }}{{ $hint = printf "did you mean %s?" (join " or " .) }}{{ end -}}
{{- fail (printf "config.%s is no setting of the service: %s" $name $hint) -}}
{{- end -}}
{{- end -}}
{{- $database := .Values.database -}}
{{- if eq $database.kind "sqlite" -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail "database.kind=sqlite is a file for one replica: set autoscaling.enabled=false, or use PostgreSQL" -}}
{{- end -}}
{{- if ne (int .Values.replicaCount) 1 -}}
{{- fail "database.kind=sqlite is a file for one replica: set replicaCount=1, or use PostgreSQL" -}}
{{- end -}}
{{- end -}}
{{- if eq $database.kind "external" -}}
{{- if and $database.external.url $database.external.existingSecret -}}
{{- fail "database.external: give either url or existingSecret" -}}
{{- end -}}
{{- if not (or $database.external.url $database.external.existingSecret) -}}
{{- fail "database.kind=external needs database.external.existingSecret, a Secret with the database's URL, or database.external.url" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas must not be above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if eq $database.kind "bundled" -}}
{{- $pods := add1 (int (ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled)) -}}
{{- $needed := add 10 (mul $pods (int (default 8 .Values.config.DATABASE_POOL_SIZE)) (int (default 1 .Values.config.WORKERS))) -}}
{{- if gt $needed (int $database.bundled.maxConnections) -}}
{{- fail (printf "database.bundled.maxConnections must be at least %d: DATABASE_POOL_SIZE for each worker of each pod, one pod more during an upgrade, and 10 to spare" $needed) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tls.enabled (not .Values.tls.existingSecret) -}}
{{- fail "tls.enabled needs tls.existingSecret, a Secret of type kubernetes.io/tls" -}}
{{- end -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add (int .Values.preStopSeconds) 10) -}}
{{- fail "terminationGracePeriodSeconds must be at least preStopSeconds + 10: the time that a pod needs to answer what it has taken" -}}
{{- end -}}
{{- end -}}
