package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Rights are what a role does to topics: their names by operation.
type Rights map[kmsg.ACLOperation][]string

// Add says that op is done to topics.
func (r Rights) Add(op kmsg.ACLOperation, topics ...string) { r[op] = append(r[op], topics...) }

// ErrRights marks an error of Verify about rights that are missing.
var ErrRights = errors.New("not allowed by the brokers")

// Verify asks the brokers what user may do to existing topics, and returns an
// error that names what is missing and how to allow it. A
// cluster without authorization allows all.
func (r Rights) Verify(ctx context.Context, cl *kgo.Client, user string) error {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	req.IncludeTopicAuthorizedOperations = true
	seen := map[string]bool{}
	for _, topics := range r {
		for _, name := range topics {
			if !seen[name] {
				seen[name] = true
				t := kmsg.NewMetadataRequestTopic()
				t.Topic = &name
				req.Topics = append(req.Topics, t)
			}
		}
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("ask what this user may do: %w", err)
	}
	may := map[string]int32{}
	for _, t := range resp.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case t.Topic == nil:
		case err == nil && t.AuthorizedOperations != -1<<31: // which would say: not told
			may[*t.Topic] = t.AuthorizedOperations
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			may[*t.Topic] = 0
		default:
			delete(seen, *t.Topic) // of what is not there nothing can be told
		}
	}
	var missing []string
	for _, op := range slices.Sorted(maps.Keys(r)) {
		var topics []string
		for _, name := range r[op] {
			if ops, told := may[name]; told && ops&(1<<op) == 0 {
				topics = append(topics, name)
			}
		}
		if len(topics) > 0 {
			missing = append(missing, fmt.Sprintf("%s on %s", operation(op), few(topics)))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: user %q lacks %s: kafka-acls.sh --bootstrap-server … --add --allow-principal 'User:%s' …; docs/security.md lists what each role needs",
		ErrRights, user, strings.Join(missing, ", "), user)
}

// operation is the operation as kafka-acls.sh spells it.
func operation(op kmsg.ACLOperation) string {
	switch op {
	case kmsg.ACLOperationRead:
		return "Read"
	case kmsg.ACLOperationWrite:
		return "Write"
	default:
		return op.String()
	}
}
