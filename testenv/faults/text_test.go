package faults

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The two files of a profile. Each holds the number, and nginx answers with both: "7 7", or
// "7 8" where it has read a mixed set.
const (
	firstPath  = "/etc/nginx/conf.d/default.conf"
	secondPath = "/etc/nginx/conf.d/second.conf"
)

// padding makes a file that takes several writes and reads; nginx skips it.
var padding = strings.Repeat("# "+strings.Repeat("padding ", 12)+"\n", 160)

func firstText(n int) string {
	return seal(n, fmt.Sprintf("server { listen 80; location / { default_type text/plain; return 200 \"%d $second\\n\"; } }\n", n))
}

func secondText(n int) string {
	return seal(n, fmt.Sprintf("map $host $second { default \"%d\"; }\n", n))
}

// badText is what nginx does not take.
func badText(n int) string { return seal(n, fmt.Sprintf("no_such_directive %d;\n", n)) }

// seal adds what tells a whole file from a torn one.
func seal(n int, directives string) string {
	body := directives + padding
	return fmt.Sprintf("%s# %d %x\n", body, n, sha256.Sum256([]byte(body)))
}

var errTorn = errors.New("torn file")

// unseal returns the number of a whole file.
func unseal(b []byte) (n int, err error) {
	body, last := b, []byte(nil)
	if i := bytes.LastIndexByte(bytes.TrimSuffix(b, []byte("\n")), '\n'); i >= 0 {
		body, last = b[:i+1], b[i+1:]
	}
	var sum string
	if _, err := fmt.Sscanf(string(last), "# %d %s", &n, &sum); err != nil {
		return 0, fmt.Errorf("%w: %d bytes without a last line of ours", errTorn, len(b))
	}
	if fmt.Sprintf("%x", sha256.Sum256(body)) != sum {
		return 0, fmt.Errorf("%w: %d bytes of number %d have another sum", errTorn, len(b), n)
	}
	return n, nil
}

func TestUnseal(t *testing.T) {
	whole, other := firstText(7), firstText(8)
	for name, tt := range map[string]struct {
		text string
		want int
		err  error
	}{
		"whole":          {whole, 7, nil},
		"second":         {secondText(12), 12, nil},
		"bad":            {badText(3), 3, nil},
		"empty":          {"", 0, errTorn},
		"cut":            {whole[:len(whole)/2], 0, errTorn},
		"last line only": {whole[strings.LastIndex(whole[:len(whole)-1], "\n")+1:], 0, errTorn},
		"two halves":     {whole[:4096] + other[4096:], 0, errTorn},
		"the image's":    {"server { listen 80; }\n", 0, errTorn},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := unseal([]byte(tt.text))
			if n != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("number %d, %v; want %d, %v", n, err, tt.want, tt.err)
			}
		})
	}
}
