{{/* Names, labels, and what every pod of the service has in common. */}}

{{- define "centwise.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters: what is appended, a StatefulSet's ordinal included, has to fit into 63. */}}
{{- define "centwise.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "centwise.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of what runs the serving pods, for those that scale it. */}}
{{- define "centwise.workloadKind" -}}
{{- ternary "StatefulSet" "Deployment" .Values.persistence.enabled -}}
{{- end -}}

{{/* What selects the pods of a component: dict "root" "component". Never changes over upgrades. */}}
{{- define "centwise.selector" -}}
app.kubernetes.io/name: {{ include "centwise.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of an object: dict "root" "component". */}}
{{- define "centwise.labels" -}}
{{ include "centwise.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: centwise
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "centwise.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "centwise.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "centwise.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* A pod's metadata: dict "root" "component". */}}
{{- define "centwise.podMetadata" -}}
labels:
  {{- include "centwise.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What every pod's spec begins with. Service links would make variables named like the releases, and one called "pricing" would stop the start. */}}
{{- define "centwise.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- if not (kindIs "invalid" .Values.security.runAsUser) }}
  runAsUser: {{ int64 .Values.security.runAsUser }}
  {{- end }}
  {{- if not (kindIs "invalid" .Values.security.runAsGroup) }}
  runAsGroup: {{ int64 .Values.security.runAsGroup }}
  {{- end }}
  {{- if not (kindIs "invalid" .Values.security.fsGroup) }}
  fsGroup: {{ int64 .Values.security.fsGroup }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "centwise.containerImage" -}}
image: {{ include "centwise.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Settings that every command reads, as environment variables. They stand in the pod, so a change of one replaces the pods. */}}
{{- define "centwise.databaseEnv" -}}
- name: PRICING_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.existingSecret }}
      key: {{ .Values.database.urlKey }}
- name: PRICING_DATA_DIR
  value: /data
{{- range $name, $value := .Values.config }}
- name: {{ $name }}
  value: {{ include "centwise.text" $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The settings of what serves and of the worker. */}}
{{- define "centwise.serviceEnv" -}}
{{ include "centwise.databaseEnv" . }}
- name: PRICING_SIGNING_KEYS_FILE
  value: /etc/centwise/signing-keys/keys
- name: PRICING_DURABILITY
  value: {{ .Values.durability }}
- name: PRICING_HOST
  value: {{ .Values.host | quote }}
- name: PRICING_PORT
  value: {{ .Values.port | quote }}
- name: PRICING_DRAIN_SECONDS
  value: {{ .Values.shutdown.drainSeconds | quote }}
- name: PRICING_SHUTDOWN_SECONDS
  value: {{ .Values.shutdown.shutdownSeconds | quote }}
{{- include "centwise.tracingEnv" . }}
{{- end -}}

{{/* Where spans go, of what can be traced; begins a new line. */}}
{{- define "centwise.tracingEnv" }}
{{- if .Values.tracing.enabled }}
- name: PRICING_TRACING
  value: "true"
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .Values.tracing.endpoint | quote }}
- name: OTEL_SERVICE_NAME
  value: {{ include "centwise.fullname" . }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.pod.name=$(POD_NAME)
{{- end }}
{{- end -}}

{{/* A number as an operator wrote it: what YAML read as a float prints 268435456 as 2.68435456e+08. */}}
{{- define "centwise.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* Where every container writes, and the database's certificates. */}}
{{- define "centwise.databaseMounts" -}}
- name: data
  mountPath: /data
- name: tmp
  mountPath: /tmp
{{- if .Values.database.caSecret }}
- name: database-ca
  mountPath: /etc/centwise/database-ca
  readOnly: true
{{- end }}
{{- end -}}

{{/* A whole folder and no subPath: only so does a changed Secret reach a running pod. */}}
{{- define "centwise.serviceMounts" -}}
{{ include "centwise.databaseMounts" . }}
- name: signing-keys
  mountPath: /etc/centwise/signing-keys
  readOnly: true
{{- end -}}

{{- define "centwise.databaseVolumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmpSizeLimit }}
{{- if .Values.database.caSecret }}
- name: database-ca
  secret:
    secretName: {{ .Values.database.caSecret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "centwise.dataVolume" -}}
- name: data
  emptyDir:
    sizeLimit: {{ .Values.dataSizeLimit }}
{{- end -}}

{{- define "centwise.serviceVolumes" -}}
{{ include "centwise.databaseVolumes" . }}
- name: signing-keys
  secret:
    secretName: {{ .Values.signingKeys.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ .Values.signingKeys.fileKey }}
        path: keys
{{- end -}}

{{/* The probes of what serves and of the worker. */}}
{{- define "centwise.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ divf .Values.probes.startupSeconds 2 | ceil | int }}
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: {{ .Values.probes.readinessPeriodSeconds }}
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: {{ divf .Values.probes.livenessSeconds 10 | ceil | int }}
{{- end -}}

{{- define "centwise.graceSeconds" -}}
{{- add .Values.shutdown.shutdownSeconds .Values.shutdown.spareSeconds -}}
{{- end -}}

{{/* What no schema can say, because it lies between values. */}}
{{- define "centwise.check" -}}
{{- if and (eq .Values.durability "spool") (not .Values.persistence.enabled) -}}
{{- fail "durability: spool needs persistence.enabled: on an emptyDir a deleted pod loses the quotes that wait in it" -}}
{{- end -}}
{{- if and (eq .Values.durability "spool") .Values.autoscaling.enabled -}}
{{- fail "durability: spool and autoscaling.enabled: the volume of a pod that is scaled away may hold quotes that nobody drains" -}}
{{- end -}}
{{- if ge (float64 .Values.shutdown.drainSeconds) (float64 .Values.shutdown.shutdownSeconds) -}}
{{- fail "shutdown.drainSeconds has to be less than shutdown.shutdownSeconds" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- end -}}
