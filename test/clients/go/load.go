package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"tepal/test/clients/go/inference"
)

const unaryCallers, streamCallers, streamMessages = 4, 2, 50

// What the callers have seen. A stream that ends with UNAVAILABLE has lost its server: it cannot be sent again by
// whoever is in between, so that it is counted apart. Anything else that goes wrong is a failure.
type counts struct {
	mutex          sync.Mutex
	Unary          int      `json:"unary"`
	Streams        int      `json:"streams"`
	StreamMessages int      `json:"stream_messages"`
	StreamsLost    int      `json:"streams_lost"`
	Failures       []string `json:"failures"`
}

func (c *counts) add(change func()) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	change()
}

func right(answer *inference.ModelInferResponse, id string, sum float32) bool {
	return answer.Id == id && bytes.Equal(answer.RawOutputContents[0], raw([]float32{sum, 0, 0, 0}))
}

func (c *counts) unary(client inference.GRPCInferenceServiceClient, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	id := fmt.Sprint("u", n)
	answer, err := client.ModelInfer(ctx, request(id, []float32{float32(n), 0, 0, 0}, []float32{1, 0, 0, 0}))
	c.add(func() {
		c.Unary++
		if err != nil {
			c.Failures = append(c.Failures, "grpc-go: "+err.Error())
		} else if !right(answer, id, float32(n)+1) {
			c.Failures = append(c.Failures, "grpc-go: another request's answer")
		}
	})
}

// Messages one after the other, so that at most one is lost with its server.
func (c *counts) stream(client inference.GRPCInferenceServiceClient) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answered := 0
	err := func() error {
		stream, err := client.ModelStreamInfer(ctx)
		if err != nil {
			return err
		}
		for i := range streamMessages {
			if err := stream.Send(request(fmt.Sprint(i), []float32{float32(i), 0, 0, 0}, make([]float32, columns))); err != nil && err != io.EOF {
				return err
			}
			answer, err := stream.Recv()
			if err != nil {
				return err
			}
			if answer.ErrorMessage != "" || !right(answer.InferResponse, fmt.Sprint(i), float32(i)) {
				return fmt.Errorf("message %d is answered with %v", i, answer)
			}
			answered++
		}
		stream.CloseSend()
		if _, err := stream.Recv(); err != io.EOF {
			return fmt.Errorf("expected the stream to end, got %v", err)
		}
		return nil
	}()
	c.add(func() {
		c.Streams++
		c.StreamMessages += answered
		if status.Code(err) == codes.Unavailable {
			c.StreamsLost++
		} else if err != nil {
			c.Failures = append(c.Failures, "grpc-go stream: "+err.Error())
		}
	})
}

// One long-lived channel, which retries nothing that a server may have seen.
func runLoad(address string) {
	connection := must(grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry()))
	defer connection.Close()
	client := inference.NewGRPCInferenceServiceClient(connection)
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	seen := &counts{Failures: []string{}}
	var callers sync.WaitGroup
	call := func(one func(n int)) {
		callers.Add(1)
		go func() {
			defer callers.Done()
			for n := 0; ; n++ {
				select {
				case <-ended:
					return
				default:
					one(n % 1_000_000)
				}
			}
		}()
	}
	for range unaryCallers {
		call(func(n int) { seen.unary(client, n) })
	}
	for range streamCallers {
		call(func(int) { seen.stream(client) })
	}
	callers.Wait()
	fmt.Println(string(must(json.Marshal(seen))))
}
