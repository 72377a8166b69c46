package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/access"
	"ell/internal/cta"
	"ell/internal/kafka"
	"ell/internal/registry"
)

// errCheck says that Check found faults; they have been printed.
var errCheck = errors.New("not everything is as it should be")

// finding is what Check found of one part.
type finding struct {
	part, found string
	err         error
	mend        string
}

// Check contacts every part that the options name and prints what is wrong and
// what mends it. Without brokers it looks for a running ell on this machine.
func Check(ctx context.Context, o Options) error {
	if len(o.Brokers) == 0 {
		o.Brokers, o.Registry = []string{o.KafkaAddr}, access.HTTP{URL: "http://" + o.RegistryAddr}
		o.oneProcess = true
	}
	o.ownGateway(o.GatewayAddr)
	start := "start it with: ell (or name another with --brokers)"
	if !o.oneProcess {
		start = "start the brokers, or name others with --brokers"
	}
	findings := []finding{o.checkKafka(ctx, start)}
	if findings[0].err == nil {
		findings = append(findings, o.checkTopics(ctx)...)
	}
	findings = append(findings, o.checkRegistry(ctx),
		o.checkHTTP(ctx, "REST Proxy", o.RESTProxy.URL+"/brokers", "start one with: ell gateway (or name another with --rest-proxy)"),
		o.checkHTTP(ctx, "website", "http://"+o.HTTPAddr+"/readyz", "start it with: ell serve; if it answers 503, it says itself what it waits for"))
	wrong := 0
	for _, f := range findings {
		if f.err == nil {
			fmt.Fprintf(o.Out, "ok    %-16s %s\n", f.part, f.found)
			continue
		}
		wrong++
		fmt.Fprintf(o.Out, "FAIL  %-16s %v\n      %-16s %s\n", f.part, f.err, "", f.mend)
	}
	if wrong > 0 {
		return errCheck
	}
	return nil
}

const checkTimeout = 5 * time.Second

func (o Options) checkKafka(ctx context.Context, mend string) finding {
	f := finding{part: "Kafka", mend: mend}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	cl, err := o.kafkaConfig().New()
	if err != nil {
		f.err, f.mend = err, "correct the setting that the message names"
		return f
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	meta, err := adm.BrokerMetadata(ctx)
	if err != nil {
		f.err = fmt.Errorf("%s: %w", strings.Join(o.Brokers, ","), err)
		return f
	}
	f.found = fmt.Sprintf("%d broker(s) at %s", len(meta.Brokers), strings.Join(o.Brokers, ","))
	if o.oneProcess {
		return f
	}
	v, err := transactionVersion(ctx, cl)
	if err != nil {
		f.err = fmt.Errorf("ask for the cluster's features: %w", err)
	} else if v < 2 {
		f.err = fmt.Errorf("transaction.version is %d: a delayed end of one transaction can end the next", v)
		f.mend = "Kafka 4.0 or later; then: kafka-features.sh --bootstrap-server … upgrade --feature transaction.version=2"
	}
	return f
}

// transactionVersion is the cluster's feature of that name; 0 where it has none.
func transactionVersion(ctx context.Context, cl *kgo.Client) (int16, error) {
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, cl)
	if err != nil {
		return 0, err
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" {
			return f.MaxVersionLevel, nil
		}
	}
	return 0, nil
}

func (o Options) checkTopics(ctx context.Context) []finding {
	ctx, cancel := context.WithTimeout(ctx, 2*checkTimeout)
	defer cancel()
	p := &platform{Options: o, kafka: o.kafkaConfig()}
	p.net = cta.Chicago()
	cl, err := p.kafka.New()
	if err != nil {
		return []finding{{part: "topics", err: err}}
	}
	defer cl.Close()
	report, err := kafka.CheckTopics(ctx, cl, p.specs())
	if err != nil {
		return []finding{{part: "topics", err: err, mend: "see whether this user may describe topics and their configuration"}}
	}
	var out []finding
	if n := len(report.Missing); n > 0 {
		out = append(out, finding{part: "topics", err: fmt.Errorf("%d are missing, %s among them", n, report.Missing[0]), mend: "any role of ell creates them when it starts"})
	}
	for _, d := range report.Differences {
		out = append(out, finding{part: "topic", err: errors.New(d.String()), mend: "change the topic, or delete it and let ell create it anew"})
	}
	if len(out) == 0 {
		out = append(out, finding{part: "topics", found: fmt.Sprintf("all %d as they should be", len(p.specs()))})
	}
	return out
}

func (o Options) checkRegistry(ctx context.Context) finding {
	f := finding{part: "schema registry", mend: "start it, or name another with --registry"}
	if o.Registry.URL == "" {
		f.err = errors.New("none is named")
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c, err := registry.New(o.registryConfig())
	if err == nil {
		var ids map[string]int
		ids, err = c.RegisterAll(ctx, o.Names.Schemas())
		f.found = fmt.Sprintf("%s knows all %d schemas", o.Registry.URL, len(ids))
	}
	if err != nil {
		f.err = fmt.Errorf("%s: %w", o.Registry.URL, err)
	}
	return f
}

func (o Options) checkHTTP(ctx context.Context, part, url, mend string) finding {
	f := finding{part: part, found: url, mend: mend}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		f.err = err
		return f
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.err = err
		return f
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		if err != nil {
			body = nil
		}
		f.err = fmt.Errorf("%s answers %s%s", url, resp.Status, told(body))
	}
	return f
}

// told is what a body says, on one line.
func told(body []byte) string {
	var doc map[string]any
	if json.Unmarshal(body, &doc) == nil {
		if b, err := json.Marshal(doc); err == nil {
			body = b
		}
	}
	if text := strings.Join(strings.Fields(string(body)), " "); text != "" {
		return fmt.Sprintf(": %.300s", text)
	}
	return ""
}
