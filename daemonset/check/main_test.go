package check_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/podreload/podreload/testenv"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(orderEnv); text != "" {
		fmt.Fprintln(os.Stderr, child(text))
		os.Exit(1)
	}
	testenv.Main(m)
}
