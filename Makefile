TOOL = go tool -modfile=tools/go.mod
export GORACE = atexit_sleep_ms=0

.PHONY: build test race lint fmt golden real-sentry nightly
build:
	go build -trimpath -ldflags '-s -w' -o silo .
test:
	go test ./...
race:
	go test -race -shuffle=on ./...
lint:
	$(TOOL) golangci-lint run ./...
	# Without -test, so that code used only by tests is reported as dead. Test packages and macOS code are excluded.
	! $(TOOL) deadcode ./... | grep -v '^tunnels/ngroktest/\|^wait/waittest/\|^proc/procargs.go'
	cd bench && go vet ./... && go test ./...
	go vet ./... && GOOS=darwin GOARCH=arm64 go vet ./... && GOOS=darwin GOARCH=arm64 go build -o /dev/null .
fmt:
	$(TOOL) golangci-lint fmt ./...
golden:
	go test ./topology ./sentry ./ui ./cmd -update
real-sentry: # REAL_SENTRY_DIR=… [VERSION=23.7.1]: all releases there, or those with this prefix; REAL_SENTRY_TREE=…: a checkout
	go test -tags realsentry -count=1 -v -run 'TestReal(Sentry|ExistingDatabase)/^$(VERSION)' -timeout 120m .
nightly:
	go test -race -run TestStep ./orchestrator -rapid.checks=20000
	go test -run '^$$' -fuzz FuzzParse -fuzztime 60s ./topology
	go test -run '^$$' -fuzz FuzzInsertBlock -fuzztime 60s ./sentry
	go test -run '^$$' -fuzz FuzzRequest -fuzztime 60s ./api
	go test -run '^$$' -fuzz FuzzMaskJSON -fuzztime 60s ./traffic
	CHAOS_ROUNDS=500 go test -count=1 -run TestChaos -timeout 30m -v .
	SILO_NGROK_DROPS=100 SILO_NGROK_BYTES=1073741824 go test -count=1 -v -run 'TestNgrok(ComesBackFromEveryDrop|HoldsNoBodyInMemory)' ./tunnels
