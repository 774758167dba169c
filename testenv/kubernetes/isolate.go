package kubernetes

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// The addresses in the cluster's network namespace: those that are set aside for
// documentation, so that nothing outside can be meant.
const (
	NodeIP      = "192.0.2.1"
	podSubnet   = "198.51.100.0/24"
	serviceCIDR = "203.0.113.0/24"
)

const isolated = "PODRELOAD_TESTENV_NETNS"

// Isolate starts this program again in a network namespace of its own with the node's
// address. Call it first in TestMain or main; it returns in the new one only, or
// with an error.
func Isolate() error {
	if os.Getenv(isolated) != "" {
		os.Unsetenv(isolated)
		return addAddress()
	}
	// Not this process's threads one by one: exec takes them all.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a network namespace of its own: %w; run as root", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(self, os.Args, append(os.Environ(), isolated+"=1"))
}

// addAddress brings loopback up and gives it the node's address besides its own: the kubelet
// wants one that is not of 127.0.0.0/8, and pods reach it through their bridge.
func addAddress() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, a := range []struct {
		name string
		ip   []byte
		mask []byte
	}{{"lo", []byte{127, 0, 0, 1}, []byte{255, 0, 0, 0}}, {"lo:0", []byte{192, 0, 2, 1}, []byte{255, 255, 255, 255}}} {
		for _, set := range []struct {
			request uint
			value   []byte
		}{{unix.SIOCSIFADDR, a.ip}, {unix.SIOCSIFNETMASK, a.mask}} {
			r, err := unix.NewIfreq(a.name)
			if err == nil {
				err = r.SetInet4Addr(set.value)
			}
			if err == nil {
				err = unix.IoctlIfreq(fd, set.request, r)
			}
			if err != nil {
				return fmt.Errorf("address of %s: %w", a.name, err)
			}
		}
	}
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return nil
}
