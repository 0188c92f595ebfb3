// The interoperability cases of grpc-go with every message compressed by gzip.
//
// grpc-go's own programs for the cases leave compression out; its cases and its test service do
// not, so here they are put together with it.
//
//	compressed -serve              prints "listening on ADDRESS"
//	compressed -server ADDRESS -test_case CASE
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
)

type runCase func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)

// Whether a case brings messages that gzip makes smaller, each way.
type compressible struct {
	run     runCase
	answers bool
}

var cases = map[string]compressible{
	"empty_unary":                 {interop.DoEmptyUnaryCall, false},
	"large_unary":                 {interop.DoLargeUnaryCall, true},
	"client_streaming":            {interop.DoClientStreaming, false},
	"server_streaming":            {interop.DoServerStreaming, true},
	"ping_pong":                   {interop.DoPingPong, true},
	"empty_stream":                {interop.DoEmptyStream, false},
	"timeout_on_sleeping_server":  {interop.DoTimeoutOnSleepingServer, false},
	"cancel_after_begin":          {interop.DoCancelAfterBegin, false},
	"cancel_after_first_response": {interop.DoCancelAfterFirstResponse, true},
	"status_code_and_message":     {interop.DoStatusCodeAndMessage, false},
	"special_status_message":      {interop.DoSpecialStatusMessage, false},
	"custom_metadata":             {interop.DoCustomMetadata, false},
}

// Counts the messages that came smaller than they are.
type counter struct{ compressed atomic.Int64 }

func (c *counter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (c *counter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c *counter) HandleConn(context.Context, stats.ConnStats)                       {}
func (c *counter) HandleRPC(_ context.Context, event stats.RPCStats) {
	if in, ok := event.(*stats.InPayload); ok && in.CompressedLength < in.Length {
		c.compressed.Add(1)
	}
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %v\n", listener.Addr())
	server := grpc.NewServer() // Answers by the encoding of the request.
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	log.Fatal(server.Serve(listener))
}

func main() {
	isServer := flag.Bool("serve", false, "Be the server.")
	address := flag.String("server", "", "The server's address.")
	name := flag.String("test_case", "", "The case.")
	flag.Parse()
	if *isServer {
		serve()
	}
	chosen, known := cases[*name]
	if !known {
		log.Fatalf("-test_case: got %q, expected one of the cases", *name)
	}
	count := &counter{}
	connection, err := grpc.NewClient(*address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)),
		grpc.WithStatsHandler(count))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	chosen.run(context.Background(), testgrpc.NewTestServiceClient(connection))
	if chosen.answers && count.compressed.Load() == 0 {
		log.Fatal("no answer was compressed")
	}
}
