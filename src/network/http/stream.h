// One request and its response, whatever protocol carries them.
//
// HTTP/1.1 and HTTP/2 sessions speak to the application through these four interfaces, so a handler
// (a route of the inference server, the proxy, the metrics page) is written once. The side that
// receives says where body bytes go, before they are read from the socket (decision 4): a body
// lands in the memory its reader wants, and is copied at most once.
//
//   server:  session --RequestReceiver-->  application     application --ResponseSender--> session
//   client:  session --ResponseReceiver--> application     application --RequestSender-->  session
//
// Threads: all of it on the loop that owns the connection.
// Lifetime: the session owns the receiver. After OnReset, or once both directions have ended, the
// sender must not be used again and the receiver will be destroyed by the session; the application
// keeps no pointer to the sender beyond that.

#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/base/status.h"
#include "core/buffer/buffer.h"
#include "network/http/message.h"

namespace tepal::http {

// Where the bytes of a body go.
class BodySink {
 public:
  virtual ~BodySink() = default;

  // Room for the next bytes of the body; the session fills some of it and says how many. `expected`
  // is how many are known to come now (from Content-Length, a chunk or a frame), 0 when unknown. An
  // empty span pauses the body (over HTTP/2: no window credit; over HTTP/1.1: no reading) until
  // ResumeBody is called on the sender, or until there may be memory again when AllocateBody gave
  // none. May be asked again before OnBody.
  virtual std::span<std::byte> BodyRoom(size_t expected) = 0;
  virtual void OnBody(size_t bytes) = 0;

  // What BodyRoom would give now, if it is memory that somebody else may hold on to and fill before
  // it is asked for; it must not be given to another meanwhile. Empty: ask BodyRoom.
  virtual Buffer OpenMemory() const { return {}; }
};

class ResponseSender {
 public:
  virtual ~ResponseSender() = default;

  // The whole response at once: the fast path. content_length is set from the body.
  virtual void Respond(ResponseHead head, BufferList body) = 0;

  // Piece by piece: Start, then Write any number of times, then Finish. `head.content_length` may
  // be given; it must then be kept.
  virtual void Start(ResponseHead head) = 0;
  virtual void Write(BufferList body) = 0;
  virtual void Finish(const Headers* trailers = nullptr) = 0;

  // 100 Continue and other interim answers; ignored where the protocol has none.
  virtual void Interim(int status) = 0;

  // Breaks the exchange off: RST_STREAM with `http2_error`, or the connection is closed.
  virtual void Reset(uint32_t http2_error) = 0;

  // Goes on after an empty BodyRoom.
  virtual void ResumeBody() = 0;

  // Memory for the request's body, at least one byte, out of the budget of the process. Empty when
  // there is none now: BodyRoom then gives no room and is asked again before long. A request that
  // gets none within Limits::budget_wait_max is refused by the session.
  virtual Buffer AllocateBody(size_t size) { return Buffer::Allocate(size); }

  // That budget, for bodies that come out of others; null: there is none.
  virtual Budget* body_budget() const { return nullptr; }

  // Bytes accepted and not yet handed to the transport. Above the session's high-water mark the
  // application should pause; OnSendRoom says when it has fallen below.
  virtual size_t unsent_bytes() const = 0;
};

class RequestReceiver : public BodySink {
 public:
  // The request is complete. `trailers` is empty for most.
  virtual void OnRequestEnd(const Headers& trailers) = 0;

  // The exchange is over before its time: the peer has reset it, the connection is gone or a limit
  // was hit. The sender is of no more use; work for it should be cancelled. The last call.
  virtual void OnReset(const Status& why) = 0;

  virtual void OnSendRoom() {}

  // The server drains the connection: a call that could go on for ever should end. Of its body,
  // `bytes_waiting` came before and have not been given to it yet. HTTP/2 only.
  virtual void OnDrain(size_t bytes_waiting) { (void)bytes_waiting; }
};

// The application's side of a server: one receiver for each request.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;

  // A request's head is complete. The receiver may answer at any time from now on, even before the
  // body has come; must not be null. `sender` outlives it as stream.h says.
  virtual std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) = 0;
};

class RequestSender {
 public:
  virtual ~RequestSender() = default;
  virtual void Write(BufferList body) = 0;
  virtual void Finish(const Headers* trailers = nullptr) = 0;

  // Gives the request up; the receiver is not called again.
  virtual void Cancel() = 0;
  virtual void ResumeBody() = 0;
  virtual size_t unsent_bytes() const = 0;
};

class ResponseReceiver : public BodySink {
 public:
  virtual void OnResponse(ResponseHead head) = 0;
  // The exchange is over, whatever of the request was not sent yet is given up, and the sender must
  // not be used any more. The last call.
  virtual void OnResponseEnd(const Headers& trailers) = 0;

  // What is known about a request that failed: whether the server can have begun to work on it.
  struct Failure {
    Status why;
    // Refused stream, GOAWAY below this stream, connection closed before the first byte was
    // written: the server has not processed it, it may be sent again wherever it likes.
    bool unprocessed = false;
  };
  // The last call.
  virtual void OnFailure(const Failure& failure) = 0;
  virtual void OnSendRoom() {}
};

}  // namespace tepal::http
