# make help lists the targets.
#
# GOMAXPROCS is set for the tests and what they start, not for the compiler. It would also be how many tests run at once,
# most of which wait for another process: with 1 they take three times as long.

LINTER := bin/golangci-lint-v2.15.0
LIMIT  := -timeout 12m -parallel 8
RACE   := go test -race $(LIMIT)
ARGS   :=
OPS    := 100000
SEED   := 1
SUITE   =
FSX     =
KILLS  := 200
MODE   := kill

.DEFAULT_GOAL := build
.PHONY: build test race programs lint bench bench-cold demo cover fmt help deps fuzz-ops \
	conform-pjdfstest conform-unionmount conform-xfstests conform-fsx chaos

build: ## build bin/antares-actor
	go build -o bin/ ./cmd/antares-actor

test: deps ## run all tests, then all of them again under the race detector
	go test $(LIMIT) ./...
	$(MAKE) --no-print-directory race

race: deps ## run all tests under the race detector, with GOMAXPROCS 1 and 2
	$(RACE) -exec 'env GOMAXPROCS=1' ./...
	$(RACE) -exec 'env GOMAXPROCS=2' ./...

programs: deps ## run large builders in mounts: cargo, npm, bazel, pip
	.ci/install-deps cargo npm g++ bazel-bootstrap bazel-rules-java bazel-rules-proto bazel-platforms
	go test -tags programs $(LIMIT) -run TestBuilders ./cmd/antares-actor

lint: $(LINTER) ## run the linters and the check of file lengths
	$(LINTER) run ./...
	.ci/file-lengths

bench: deps ## compare with plain ext4, overlayfs and fuse-overlayfs, as root; ARGS=-quick for a trial
	go run ./bench $(ARGS)

bench-cold: deps ## measure cold mounts of a server 0, 1, 5 and 20 ms away, as root; writes bench/COLD.md; ARGS=-quick for a trial
	.ci/install-deps curl
	go run ./bench cold $(ARGS)

fuzz-ops: deps ## compare OPS random operations with a plain directory and with kernel overlayfs, by seeds from SEED on
	ANTARES_OPS=$(OPS) ANTARES_SEED=$(SEED) go test -v -count=1 -timeout 2h -run 'TestRandomOperations|TestUppers' ./cmd/antares-actor

conform-pjdfstest: ## run pjdfstest (SUITE=PATH, built) on ext4, overlayfs, fuse-overlayfs and antares-actor, as root
	go run ./internal/conformance -suite pjdfstest -path '$(SUITE)' $(ARGS)

conform-unionmount: ## run unionmount-testsuite (SUITE=PATH) likewise
	go run ./internal/conformance -suite unionmount -path '$(SUITE)' $(ARGS)

conform-xfstests: ## run the generic quick group of xfstests (SUITE=PATH, built) likewise
	go run ./internal/conformance -suite xfstests -path '$(SUITE)' $(ARGS)

conform-fsx: ## run xfstests' fsx (FSX=PROGRAM) likewise, with ten seeds of 1,000,000 operations
	go run ./internal/conformance -suite fsx -path '$(FSX)' $(ARGS)

chaos: build deps ## kill the engine KILLS times under many programs, as root; MODE=stop, keeper or both, FSX=PROGRAM for fsx as well
	go run ./internal/chaos -program bin/antares-actor -kills $(KILLS) -mode $(MODE) $(if $(FSX),-fsx '$(FSX)') $(ARGS)

demo: build ## show the main job from end to end; ARGS=-keep leaves its files
	.ci/install-deps git fuse3 sqlite3
	go run ./internal/demo -program bin/antares-actor $(ARGS)

cover: deps ## report the tests' coverage by package
	go test $(LIMIT) -coverpkg=./... -coverprofile=cover.out ./... && go tool cover -func=cover.out | tail -n 1

fmt: ## format the sources
	gofmt -w .

deps: ## install the Debian packages that the tests need and that are missing
	.ci/install-deps git fuse3 sqlite3 attr gcc lmdb-utils rsync cpio cmake ninja-build python3-venv e2fsprogs xfsprogs btrfs-progs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(LINTER): # built here, since a linter refuses sources of a newer Go than its own
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(patsubst bin/golangci-lint-%,%,$@)
	mv bin/golangci-lint $@
