// The client's side of an HTTP/1.1 connection: one request at a time, without pipelining.
//
// The connection goes back to its pool (Capacity is 1 again) only when both messages are complete
// and the server keeps it open; whatever comes while no request is in progress breaks it.

#pragma once

#include <memory>
#include <vector>

#include "network/http/http1_body.h"
#include "network/http/http1_head.h"
#include "network/http/input_buffer.h"
#include "network/http/out_queue.h"
#include "network/http/session.h"

namespace tepal::http {

class Http1ClientSession final : public ClientSession {
 public:
  Http1ClientSession(const Limits& limits, SessionHost& host);
  ~Http1ClientSession() override;

  RequestSender* Send(const RequestHead& head, bool end_of_request,
                      std::unique_ptr<ResponseReceiver> receiver) override;
  uint32_t Capacity() const override;

  std::span<std::byte> ReadRoom(std::span<std::byte> scratch) override;
  bool OnRead(size_t bytes, Instant now) override;
  bool OnReadEnd(Instant now) override;
  void Output(std::vector<env::ConstBytes>& pieces) override;
  void OnWritten(size_t bytes, Instant now) override;
  bool Finished() const override;
  bool Idle() const override;
  std::optional<Instant> NextDeadline() const override;
  bool OnTime(Instant now) override;
  void Drain(Instant now) override;
  void OnDisconnect(const Status& why) override;

 private:
  struct Turn;

  class Sender final : public RequestSender {
   public:
    explicit Sender(Http1ClientSession& session) : session_(session) {}
    void Write(BufferList body) override;
    void Finish(const Headers* trailers) override;
    void Cancel() override;
    void ResumeBody() override;
    size_t unsent_bytes() const override { return session_.out_.size(); }

   private:
    Http1ClientSession& session_;
  };

  bool busy() const { return receiver_ != nullptr; }
  void WriteHead(const RequestHead& head, bool end_of_request);
  void Pump(std::string_view& data);
  bool PumpHead(std::string_view& data);
  bool PumpBody(std::string_view& data);
  void PumpKept();
  void OnHead();
  void End();
  void Fail(Status why);
  void OnActive();

  const Limits limits_;
  SessionHost& host_;
  Sender sender_;
  ResponseHeadReader head_;
  Http1BodyReader body_;
  Http1BodyWriter writer_;
  InputBuffer input_;
  OutQueue out_;
  std::unique_ptr<ResponseReceiver> receiver_;              // Of the request in progress.
  std::vector<std::unique_ptr<ResponseReceiver>> retired_;  // May still be on the stack.
  bool in_turn_ = false;
  bool asked_for_turn_ = false;
  bool is_head_ = false;
  bool request_done_ = true;
  bool in_body_ = false;
  bool reusable_ = true;
  bool paused_ = false;
  bool resumed_ = false;
  bool congested_ = false;
  bool read_ended_ = false;
  bool closing_ = false;  // Takes no more requests; finished when none is in progress.
  int interim_answers_ = 0;
  size_t direct_room_ = 0;
  uint64_t written_ = 0;  // Bytes of the request that the transport took.
  Instant idle_since_;
  std::optional<Instant> write_since_;
};

}  // namespace tepal::http
