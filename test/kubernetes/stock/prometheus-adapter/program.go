//go:build tools

// Only so that go.mod keeps the program that ../build builds.
package adapter

import _ "sigs.k8s.io/prometheus-adapter/cmd/adapter"
