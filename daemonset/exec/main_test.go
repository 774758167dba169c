package exec_test

import (
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

// patience is how long a container may take on a slow and busy machine.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { testenv.Main(m) }
