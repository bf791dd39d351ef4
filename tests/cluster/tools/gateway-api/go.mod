module certwright.dev/tests/cluster/tools/gateway-api

go 1.26.0

// The version that Traefik knows.
require sigs.k8s.io/gateway-api v1.6.3
