// A client of the v2 protocol as a Go program would have it: code generated from the server's .proto files, grpc-go,
// nothing of ours. Infers once and over a stream, watches health, and says what it has seen; any difference from what
// the model add_sub must answer ends it with 1. With -load it does the first two until its input ends, and counts.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"tepal/test/clients/go/inference"
)

const columns = 4

func raw(values []float32) []byte {
	var bytes bytes.Buffer
	binary.Write(&bytes, binary.LittleEndian, values)
	return bytes.Bytes()
}

func request(id string, a, b []float32) *inference.ModelInferRequest {
	tensor := func(name string) *inference.ModelInferRequest_InferInputTensor {
		return &inference.ModelInferRequest_InferInputTensor{Name: name, Datatype: "FP32", Shape: []int64{1, columns}}
	}
	return &inference.ModelInferRequest{ModelName: "add_sub", Id: id,
		Inputs:           []*inference.ModelInferRequest_InferInputTensor{tensor("INPUT0"), tensor("INPUT1")},
		RawInputContents: [][]byte{raw(a), raw(b)}}
}

func check(answer *inference.ModelInferResponse, id string, sum []float32) {
	if answer.Id != id || !bytes.Equal(answer.RawOutputContents[0], raw(sum)) {
		log.Fatalf("expected %s to be answered with %v, got %v", id, sum, answer)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func infer(ctx context.Context, client inference.GRPCInferenceServiceClient) {
	a, b := []float32{1, 2, 3, 4}, []float32{10, 20, 30, 40}
	sum := []float32{11, 22, 33, 44}
	check(must(client.ModelInfer(ctx, request("raw", a, b))), "raw", sum)
	check(must(client.ModelInfer(ctx, request("gzip", a, b), grpc.UseCompressor(gzip.Name))), "gzip", sum)
	typed := request("typed", a, b)
	typed.RawInputContents = nil
	typed.Inputs[0].Contents = &inference.InferTensorContents{Fp32Contents: a}
	typed.Inputs[1].Contents = &inference.InferTensorContents{Fp32Contents: b}
	check(must(client.ModelInfer(ctx, typed)), "typed", sum)

	unknown := request("unknown", a, b)
	unknown.ModelName = "nope"
	if _, err := client.ModelInfer(ctx, unknown); status.Code(err) != codes.NotFound {
		log.Fatalf("expected NotFound for a model that is not there, got %v", err)
	}
	fmt.Println("unary ok")
}

func stream(ctx context.Context, client inference.GRPCInferenceServiceClient) {
	const messages = 100
	stream := must(client.ModelStreamInfer(ctx))
	go func() {
		for i := range messages {
			if err := stream.Send(request(fmt.Sprint(i), []float32{float32(i), 0, 0, 0}, make([]float32, columns))); err != nil {
				log.Fatal(err)
			}
		}
		stream.CloseSend()
	}()
	for i := range messages {
		answer := must(stream.Recv())
		if answer.ErrorMessage != "" {
			log.Fatal(answer.ErrorMessage)
		}
		check(answer.InferResponse, fmt.Sprint(i), []float32{float32(i), 0, 0, 0})
	}
	if _, err := stream.Recv(); err != io.EOF {
		log.Fatalf("expected the stream to end, got %v", err)
	}
	fmt.Println("stream ok")
}

func watch(ctx context.Context, connection *grpc.ClientConn) {
	ctx, cancel := context.WithCancel(ctx)
	watching := must(health.NewHealthClient(connection).Watch(ctx, &health.HealthCheckRequest{}))
	fmt.Println("health", must(watching.Recv()).Status)
	cancel()
	if _, err := watching.Recv(); status.Code(err) != codes.Canceled {
		log.Fatalf("expected Canceled, got %v", err)
	}
}

func main() {
	address := flag.String("address", "", "host:port")
	load := flag.Bool("load", false, "infer until the standard input ends, then print the counts as JSON")
	flag.Parse()
	if *load {
		runLoad(*address)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	connection := must(grpc.NewClient(*address, grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer connection.Close()
	client := inference.NewGRPCInferenceServiceClient(connection)
	if !must(client.ServerReady(ctx, &inference.ServerReadyRequest{})).Ready {
		log.Fatal("the server is not ready")
	}
	infer(ctx, client)
	stream(ctx, client)
	watch(ctx, connection)
}
