//go:build tools

// Only so that go.mod keeps the program that ../build builds.
package helm

import _ "helm.sh/helm/v3/cmd/helm"
