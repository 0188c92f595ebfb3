# The commands of this project. Each says what it does; `make` alone lists them.

preset ?= release

.PHONY: help setup build demo up test test-soak test-peers test-kubernetes test-chart image package test-fresh bench fuzz fmt lint tidy clean
help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install missing Debian packages and fetch pinned wheels
	@tools/setup demo

build: setup ## build/release/bin/tepal and its plugins in build/release/lib/tepal/backends/
	@tools/build demo $(preset)

demo: ## Classify flower photos, then watch replicas go from 1 to 7 and back under load
	@tools/setup demo
	@tools/build demo
	@examples/flower/demo.py

up: ## The same stack, kept running, with the dashboard on http://127.0.0.1:8080/
	@tools/setup demo
	@tools/build demo
	@build/release/bin/tepal up examples/flower/tepal.yaml

test: ## Everything CI runs: unit tests, simulations, real clients, conformance, sanitizers
	@tools/setup test
	@tools/test

test-peers: ## Real Triton, its perf_analyzer and python backend, Debian's LibTorch: what `make test` has no room for
	@tools/setup peers
	@test/peers/run.sh

test-soak: ## A million requests through the balancer while servers are killed, frozen, rolled and replaced
	@tools/setup test
	@tools/build all
	@.cache/venv/bin/python test/balancer/chaos.py

test-kubernetes: ## A real two-node Kubernetes, up and down again: our client, agent and device plugin on it (root)
	@test/kubernetes/run.sh

test-chart: ## The Helm chart without a cluster: lint, renderings of many values, alert rules, manifests
	@test/chart/run.sh

image: ## The container image as an OCI archive, without a container engine: build/tepal-image.tar
	@tools/setup demo
	@tools/build demo
	@tools/image

package: ## A .deb with the program, its plugins and the demo: needs no compiler
	@tools/setup demo
	@tools/build demo
	@tools/package

test-fresh: ## `make demo`, `make test` and the package in a Debian 12 made by debootstrap (root)
	@tools/test-fresh

bench: ## Side by side with the real Triton: CPU time per request, start-up
	@tools/setup peers
	@bench/run

fuzz: ## Every fuzzer for a minute (SECONDS_EACH=n for longer)
	@tools/setup test
	@tools/fuzz $${SECONDS_EACH:-60}

fmt: ## clang-format in place
	@git ls-files '*.cc' '*.h' | grep -v third_party | xargs clang-format -i

lint: tidy ## Layers, bans, formatting, clang-tidy on what changed
	@git ls-files '*.cc' '*.h' | grep -v third_party | xargs clang-format --dry-run -Werror
	@tools/clang-tidy-changed

tidy: ## Layers and bans only
	@tools/tidy

clean: ## Remove build/ (the cache stays)
	@rm -rf build
