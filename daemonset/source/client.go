package source

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// Client reads one etcd cluster. It is safe for concurrent use, and the caller
// closes it.
type Client struct {
	config clientv3.Config
	login  *login
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	page  int           // keys asked for in one call, at most
	first atomic.Int64  // and in the first of a read
	most  int           // bytes that a feed may hold
	call  time.Duration // for one call of a read
	every time.Duration // how often a feed compares itself with etcd
	waste int           // bytes between its keys that a feed takes meanwhile, beside as many as it holds

	answer  pace
	dialing chan struct{} // held by the one that makes etcd
	etcd    atomic.Pointer[clientv3.Client]
	streams streams
	logins  atomic.Int64 // tells watch streams of different logins apart
	closing sync.Once

	wg    sync.WaitGroup // the feeds' goroutines
	mu    sync.Mutex
	feeds map[string]*feed // by their normalized keys
}

// Open checks cfg and returns a client, without a word to the network: an etcd
// that is down is waited for by those who read. Its errors name the wrong
// setting or file.
func Open(cfg Config) (*Client, error) {
	config, err := cfg.client()
	if err != nil {
		return nil, err
	}
	c := &Client{
		config:  config,
		login:   newLogin(cfg.User, cfg.password),
		page:    1 << 16,
		most:    maxBytes,
		call:    callTimeout,
		every:   30 * time.Second,
		waste:   256 << 10,
		dialing: make(chan struct{}, 1),
		streams: streams{changed: make(chan struct{})},
		feeds:   make(map[string]*feed),
	}
	c.first.Store(firstPage)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.config.Context = c.ctx
	c.config.DialOptions = append(c.config.DialOptions,
		grpc.WithChainUnaryInterceptor(failFast),
		grpc.WithChainStreamInterceptor(c.login.intercept, c.streams.intercept),
		grpc.WithPerRPCCredentials(c.login))
	return c, nil
}

// Close ends all feeds and connections, and waits for them. Subscriptions stay
// readable; their error is then ErrClosed.
func (c *Client) Close() error {
	c.closing.Do(func() {
		c.mu.Lock() // a feed that is starting is either seen by Wait or never starts
		c.cancel()
		c.mu.Unlock()
		c.wg.Wait()
		c.dialing <- struct{}{} // kept: nobody connects any more
		if etcd := c.etcd.Swap(nil); etcd != nil {
			// Its only error is that of the context that was cancelled.
			_ = etcd.Close()
		}
	})
	return nil
}

// Read returns everything that keys cover, at one revision. It does not wait
// for an etcd that refuses connections; the errors are those of
// [Subscription.Current].
func (c *Client) Read(ctx context.Context, keys []string) (*Snapshot, error) {
	keys = normalize(keys)
	s, err := c.read(ctx, keys)
	if err != nil {
		return nil, c.explain(err, c.denied(ctx, err, keys))
	}
	return s.snapshot(), nil
}

// Subscribe follows keys until the subscription is closed. Equal sets of keys
// share one feed. It never blocks and never fails: what goes wrong, Current
// says.
func (c *Client) Subscribe(keys []string) *Subscription { return c.Resume(keys, nil) }

// Resume is Subscribe by who has kept a snapshot of the same keys, over an outage or
// a restart. The feed holds it against etcd, takes in what has changed since, and
// shows it only then; it reads all where the snapshot is nil, of another etcd, or too
// old. Kept is called once, by the feed's goroutine, and not if there is such a feed already.
func (c *Client) Resume(keys []string, kept func() *Snapshot) *Subscription {
	keys = normalize(keys)
	id := strings.Join(keys, "\x00")
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.feeds[id]
	if f == nil {
		f = newFeed(c, keys)
		if c.ctx.Err() == nil {
			c.feeds[id] = f
			ctx, cancel := context.WithCancel(c.ctx)
			f.cancel = cancel
			c.wg.Go(func() {
				if kept != nil {
					f.resume(kept())
				}
				f.run(ctx)
			})
		}
	}
	s := &Subscription{feed: f, id: id, changed: make(chan struct{}, 1)}
	f.add(s)
	return s
}

// drop removes s from its feed, and the feed with its last subscription.
func (c *Client) drop(s *Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.feed.remove(s) == 0 {
		s.feed.cancel()
		if c.feeds[s.id] == s.feed {
			delete(c.feeds, s.id)
		}
	}
}

// connect returns the connection to etcd, and makes it when first asked, without
// touching the network.
func (c *Client) connect(ctx context.Context) (*clientv3.Client, error) {
	if etcd := c.etcd.Load(); etcd != nil {
		return etcd, nil
	}
	select {
	case c.dialing <- struct{}{}:
		defer func() { <-c.dialing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.ctx.Done():
		return nil, ErrClosed
	}
	if etcd := c.etcd.Load(); etcd != nil {
		return etcd, nil
	}
	etcd, err := clientv3.New(c.config)
	if err != nil {
		return nil, err
	}
	c.etcd.Store(etcd)
	return etcd, nil
}

// pause waits for d, or less if a lost connection comes back before.
func (c *Client) pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if etcd := c.etcd.Load(); etcd != nil {
		conn := etcd.ActiveConnection()
		for s := conn.GetState(); s != connectivity.Ready; s = conn.GetState() {
			if !conn.WaitForStateChange(ctx, s) {
				return
			}
			if conn.GetState() == connectivity.Ready {
				return
			}
		}
	}
	<-ctx.Done()
}
