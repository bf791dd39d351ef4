# What is downloaded or built once and kept between runs.
export CERTWRIGHT_CACHE ?= $(HOME)/.cache/certwright
export CARGO_TARGET_DIR ?= $(CERTWRIGHT_CACHE)/target

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: cluster-tools
cluster-tools: ## build the programs of the test cluster (minutes the first time, then nothing)
	@tests/cluster/build

.PHONY: test
test: ## run everything that CI runs
	@tests/run

.PHONY: generate
generate: ## make crds/, the chart's copies and deploy/install.yaml anew
	@deploy/generate

.PHONY: bench
bench: ## measure against the API server's own limit; N=1000 ROUNDS=3
	@tests/cluster/build
	@cargo bench --quiet --bench cluster -- $(N) $(ROUNDS)

.PHONY: demo
demo: ## show Certwright on a real control plane; ARGS=--once ends by itself, ARGS=--help tells more
	@case "$(ARGS)" in *--kubeconfig*|*--help*) ;; *) tests/cluster/build ;; esac
	@cargo build --locked --bin certwright --example demo
	@$(CARGO_TARGET_DIR)/debug/examples/demo --operator $(CARGO_TARGET_DIR)/debug/certwright $(ARGS)
