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
