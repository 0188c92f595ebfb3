// Unary gRPC calls with a limit on their time, any number at once.
//
// The head of a call is made once by the caller and reused. Answers whose bytes are no gRPC are
// given up. Owned by the loop of its HttpClient; destroying it drops the calls in progress without
// a word.

#pragma once

#include <memory>
#include <vector>

#include "network/http/grpc_client.h"
#include "network/net/http_client.h"

namespace tepal::client {

// What answers of one message may have: the largest a server of ours or Triton's sends.
inline constexpr size_t kGrpcAnswerBytesMax = (size_t{1} << 31) - 1;

// "UNAVAILABLE: the server's words", for people; OK stays OK.
Status NameCode(const Status& status);

class GrpcCaller {
 public:
  using Done = Function<void(Result<Buffer>)>;

  // `client` speaks HTTP/2; it and `loop`, which is its loop, outlive this.
  GrpcCaller(env::EventLoop& loop, net::HttpClient& client, env::Address server);
  ~GrpcCaller();

  // `framed` is the message with its prefix (http::GrpcFrame). `done` runs once, perhaps inside
  // Call when there is no connection to be had; an error has its code in front.
  void Call(const http::RequestHead& head, BufferList framed, Duration time_max, Done done);

 private:
  struct Slot {
    std::unique_ptr<net::HttpClient::Exchange> exchange;
    env::EventLoop::TimerId timer = 0;
    Done done;
    uint64_t call = 0;  // 0: free.
  };

  void End(size_t slot, uint64_t call, Result<Buffer> answer);

  env::EventLoop& loop_;
  net::HttpClient& client_;
  const env::Address server_;
  std::vector<Slot> slots_;
  std::vector<size_t> free_;
  uint64_t calls_ = 0;
};

}  // namespace tepal::client
