VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
PARTS   := build/parts
N       ?= 200
ROUNDS  ?= 5000

CONTAINERD := github.com/containerd/containerd/v2
V2         := v2.4.2
RUNC       := v1.4.0

CODE        := cmd daemonset nsenter shim testenv
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help build parts test faults demo bench vet lint ci clean

help: ## print this help
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

# podreload knows the digest of the shim of its own build and takes no other.
build: ## build bin/podreload and bin/podreload-shim: static, stripped, reproducible
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/ ./cmd/podreload-shim
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS) -X main.shimDigest=$$(sha256sum bin/podreload-shim | cut -d' ' -f1)" -o bin/ ./cmd/podreload

parts: $(PARTS)/done ## get containerd, runc, nginx… into build/parts; nothing is installed

# Without a C compiler there is no race detector: the one thing that is installed.
$(PARTS)/cc:
	@mkdir -p $(PARTS)
	@if ! echo '#include <stdlib.h>' | $${CC:-gcc} -E - >/dev/null 2>&1; then \
		echo "parts: installing gcc and libc6-dev for -race"; \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends gcc libc6-dev; fi
	@touch $@

$(PARTS)/debs: testenv/parts/fetch
	@testenv/parts/fetch $(PARTS)
	@touch $@

$(PARTS)/containerd-$(V2):
	@echo "parts: building containerd $(V2) (once; 1 to 5 minutes)"
	@GOBIN=$(abspath $(PARTS))/containerd-v2 CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" \
		$(foreach c,containerd containerd-shim-runc-v2 ctr,$(CONTAINERD)/cmd/$(c)@$(V2))
	@touch $@

# User namespaces want runc 1.2. PKG_CONFIG=true: it is asked where libseccomp is, and we say that.
$(PARTS)/runc-$(RUNC): $(PARTS)/cc $(PARTS)/debs
	@echo "parts: building runc $(RUNC) (once; a minute)"
	@GOBIN=$(abspath $(PARTS))/containerd-v2 CGO_ENABLED=1 PKG_CONFIG=true CGO_CFLAGS="-O2 -I$(abspath $(PARTS))/root/usr/include" \
		CGO_LDFLAGS="-L$(abspath $(PARTS))/root/usr/lib/$$($${CC:-gcc} -print-multiarch) -l:libseccomp.a" \
		go install -trimpath -ldflags "-s -w" -tags seccomp github.com/opencontainers/runc@$(RUNC)
	@touch $@

$(PARTS)/pause: testenv/pause/main.go
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $@ ./testenv/pause

$(PARTS)/receiver: testenv/bench/receiver/main.go
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $@ ./testenv/bench/receiver

$(PARTS)/done: $(PARTS)/cc $(PARTS)/debs $(PARTS)/pause $(PARTS)/containerd-$(V2) $(PARTS)/runc-$(RUNC)
	@touch $@

test: build parts ## unit and end-to-end tests on the real parts, with -race
	go test -race -count=1 -timeout 30m ./...

faults: build parts ## kill agent, shim, nginx, containerd, etcd… 5000 times under load; ROUNDS=100 is quicker
	go test -race -count=1 -timeout 24h -run TestFaults -v ./testenv/faults -faults.rounds=$(ROUNDS)

demo: build parts ## play the whole story once; KEEP=1 leaves it running
	go run ./testenv/demo

bench: build parts $(PARTS)/receiver ## measure the crossing against other ways; N=1000 measures more often
	go run ./testenv/bench -n $(N)

vet: ## go vet
	go vet ./...

lint: vet ## vet, gofmt and staticcheck
	@files=$$(gofmt -l $(CODE)); test -z "$$files" || { echo "gofmt -w these:"; echo "$$files"; exit 1; }
	go run $(STATICCHECK) ./...

ci: lint test demo ## what .ci/run calls

clean: ## delete bin and build; Go's own caches stay
	rm -rf bin build
