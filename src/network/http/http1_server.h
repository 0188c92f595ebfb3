// The server's side of an HTTP/1.1 connection.
//
// Requests are taken up as they are read, also ahead of earlier answers (pipelining), and answered
// in order: every exchange has its own queue of output, and only the oldest one's is written.
//
//   OnRead -> Pump: head reader -> Begin an exchange -> body reader -> End
//   sender -> exchange's OutQueue;  Output: the queues from the oldest on, up to an open answer

#pragma once

#include <memory>
#include <vector>

#include "network/http/http1_body.h"
#include "network/http/http1_head.h"
#include "network/http/input_buffer.h"
#include "network/http/out_queue.h"
#include "network/http/session.h"

namespace tepal::http {

class Http1ServerSession;

// One request and its answer; reused for later ones.
class Http1ServerExchange final : public ResponseSender, public BodySink {
 public:
  explicit Http1ServerExchange(Http1ServerSession& session) : session_(session) {}

  // ResponseSender.
  void Respond(ResponseHead head, BufferList body) override;
  void Start(ResponseHead head) override;
  void Write(BufferList body) override;
  void Finish(const Headers* trailers) override;
  void Interim(int status) override;
  void Reset(uint32_t http2_error) override;
  void ResumeBody() override;
  Buffer AllocateBody(size_t size) override;
  Budget* body_budget() const override;
  size_t unsent_bytes() const override { return out_.size(); }

  // BodySink: the receiver's, with 100 Continue sent once it wants the body.
  std::span<std::byte> BodyRoom(size_t expected) override;
  void OnBody(size_t bytes) override;

 private:
  friend class Http1ServerSession;

  // Forgets the last request.
  void Renew();
  bool open() const { return !detached_ && !aborted_ && !response_done_; }
  void StartNow(ResponseHead& head);
  void WriteNow(BufferList body);
  void FinishNow(const Headers* trailers);
  // An answer of the session's own, after which the connection ends.
  void Answer(const Refusal& refusal);
  void Abort();
  Http1BodyWriter::Kind ChooseFraming(const ResponseHead& head);
  void WriteStatusLine(int status);

  Http1ServerSession& session_;
  std::unique_ptr<RequestReceiver> receiver_;
  OutQueue out_;
  Http1BodyWriter writer_;
  Version version_ = Version::kHttp11;
  bool is_head_ = false;           // HEAD: answered without a body.
  bool close_ = false;             // The connection ends with this answer.
  bool expects_continue_ = false;  // And has had no 100 Continue so far.
  bool request_done_ = false;
  bool started_ = false;
  bool response_done_ = false;
  bool aborted_ = false;   // Nothing more is written and the connection ends.
  bool detached_ = false;  // The receiver has had its last call.
  bool congested_ = false;
};

class Http1ServerSession final : public Session {
 public:
  Http1ServerSession(const Limits& limits, SessionHost& host, RequestHandler& handler);
  ~Http1ServerSession() override;

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
  friend class Http1ServerExchange;
  // Marks that the session is at work, so that applications' calls ask for no turn.
  struct Turn;

  // Takes up what can be taken up of `data`. False: not for lack of bytes did it stop.
  bool Pump(std::string_view& data);
  bool PumpBody(std::string_view& data);
  void PumpKept(Instant now);
  bool MayBegin() const;
  void Begin();
  void EndRequest();
  Http1ServerExchange& AddExchange();

  // Answers what is being read with an error, tells its receiver, and closes behind it.
  void Refuse(const Refusal& refusal, const Status& why);
  void OnEndOfInput();
  void Probe(Instant now);
  bool MayProbe() const;
  // A body that waits for the budget: asked again, or refused.
  void LookForMemory(Instant now);
  void RetireWritten(Instant now);
  void RetireFront(Instant now);
  // Takes exchanges away from their receivers, all from that index on.
  void DropFrom(size_t index, const Status& why);
  void Tell(Http1ServerExchange& exchange, const Status& why);
  void OnActive();
  bool is_receiving(const Http1ServerExchange& exchange) const {
    return receiving_ && is_newest(exchange);
  }
  bool is_newest(const Http1ServerExchange& exchange) const {
    return active_.back().get() == &exchange;
  }

  const Limits limits_;
  SessionHost& host_;
  RequestHandler& handler_;
  RequestHeadReader head_;
  Http1BodyReader body_;
  InputBuffer input_;
  std::vector<std::unique_ptr<Http1ServerExchange>> active_;  // Oldest first.
  std::vector<std::unique_ptr<Http1ServerExchange>> retired_;
  const Headers no_trailers_;
  bool in_turn_ = false;
  size_t direct_room_ = 0;  // Bytes of the sink's own memory that ReadRoom gave.
  bool receiving_ = false;  // The last of active_ has not had its whole body.
  bool paused_ = false;     // By its sink.
  bool resumed_ = false;    // And may go on.
  bool closing_ = false;    // No further request is taken; input is thrown away.
  bool read_ended_ = false;
  bool broken_ = false;
  bool draining_ = false;
  bool asked_for_turn_ = false;
  std::optional<Instant> starved_since_;  // The body waits for memory from the budget.
  Instant retry_at_;
  Instant now_;
  Instant idle_since_;
  Instant head_since_;
  Instant read_at_;
  std::optional<Instant> drained_at_;
  std::optional<Instant> probe_at_;  // Set when the client has ended its side.
  Duration probe_pause_{};
  std::optional<Instant> write_since_;  // Since when the peer takes nothing.
};

}  // namespace tepal::http
