"""Values that operators may give: each default alone, everything on, everything off, and what excludes one another apart."""

from collections.abc import Mapping
from typing import Any, Final

_PROMETHEUS: Final = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
_SHOP: Final = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}, "podSelector": {}}]

EVERYTHING: Final[Mapping[str, Any]] = {
    "commonLabels": {"team": "pricing"},
    "image": {"repository": "registry.example/centwise", "digest": f"sha256:{'5e' * 32}", "pullSecrets": ["registry"]},
    "database": {"urlKey": "DATABASE_URL", "caSecret": "postgres-ca"},
    "signingKeys": {"fileKey": "signing.keys"},
    "config": {
        "PRICING_WAIT_MS": 150,
        "PRICING_IMPORT_BODY_BYTES": 1 << 30,
        "PRICING_POLL_SECONDS": 0.5,
        "PRICING_CONNECTIONS_PER_ADDRESS": 200,
        "PRICING_LOG_LEVEL": "warning",
    },
    "extraEnv": [{"name": "OTEL_TRACES_SAMPLER_ARG", "value": "0.01"}],
    "durability": "relaxed",
    "shutdown": {"drainSeconds": 7.5, "shutdownSeconds": 40},
    "autoscaling": {"enabled": True, "expectedWait": {"enabled": True}},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "pricing", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priorityClassName": "shop-critical",
    "podAnnotations": {"example.com/owner": "pricing"},
    "podLabels": {"example.com/tier": "gold"},
    "serviceAccount": {"annotations": {"example.com/role": "pricing"}},
    "export": {"enabled": True, "existingClaim": "exports", "schedule": "30 3 * * 1-5", "days": 7},
    "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"example.com/body-size": "256m"},
        "hosts": ["prices.example.com", "prices.example.org"],
        "tlsSecret": "prices-tls",
    },
    "httpRoute": {
        "enabled": True,
        "parentRefs": [{"name": "public"}],
        "hosts": ["prices.example.com"],
        "paths": ["/v1", "/docs"],
    },
    "networkPolicy": {
        "clients": _SHOP,
        "prometheus": _PROMETHEUS,
        "database": [{"ipBlock": {"cidr": "10.3.0.0/24"}}],
        "databasePort": 6432,
        "tracing": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}],
        "extraEgress": [{"ports": [{"protocol": "TCP", "port": 443}]}],
    },
    "tracing": {"enabled": True, "endpoint": "http://collector.observability:4318"},
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True, "labels": {"release": "prometheus"}, "runbookBase": "https://wiki.example/runbooks"},
        "dashboards": {"enabled": True},
    },
}
NOTHING: Final[Mapping[str, Any]] = {
    "topologySpread": [],
    "podDisruptionBudget": {"enabled": False},
    "serviceAccount": {"create": False},
    "migrations": {"enabled": False},
    "worker": {"enabled": False},
    "networkPolicy": {"enabled": False},
}
SPOOL: Final[Mapping[str, Any]] = {
    "durability": "spool",
    "persistence": {"enabled": True, "storageClass": "fast", "size": "20Gi"},
    "config": {"PRICING_SPOOL_BYTES": 4 << 30},
    "monitoring": {"serviceMonitor": {"enabled": True}},
}
CASES: Final[Mapping[str, Mapping[str, Any]]] = {
    "default": {},
    "everything": EVERYTHING,
    "nothing": NOTHING,
    "spool": SPOOL,
    "volumes and scaling": {"persistence": {"enabled": True}, "autoscaling": {"enabled": True}},
    "one process": {"replicas": 1, "rollout": {"maxSurge": 1}, "podDisruptionBudget": {"maxUnavailable": "50%"}},
    "tracing": {"tracing": {"enabled": True, "endpoint": "https://collector.example:4318"}},
    "exports": {"export": {"enabled": True, "existingClaim": "exports"}, "networkPolicy": {"prometheus": _PROMETHEUS}},
    "an account of one's own": {"serviceAccount": {"create": False, "name": "pricing"}},
    "users of the cluster's": {"security": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    "IPv6 and another port": {"host": "::", "port": 9090, "service": {"port": 9090}},
    "callers and no Prometheus": {"networkPolicy": {"clients": _SHOP}},
    "long names": {"fullnameOverride": "prices-of-the-shop-in-the-north-of-the-country-and-beyond"},
}
