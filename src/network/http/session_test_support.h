// What the tests and fuzzers of sessions share: a host with a clock of its own, a way to move bytes
// in chosen pieces, and a handler that writes down what it sees.

#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "network/http/session.h"

namespace tepal::http {

class TestHost final : public SessionHost {
 public:
  void OnSessionActive() override { ++turns_asked; }
  Instant Now() const override { return now; }
  std::string_view PeerHost() const override { return "192.0.2.1"; }
  uint64_t Ordinal() const override { return ordinal; }
  Instant now{Duration(1000s)};
  uint64_t ordinal = 0;
  int turns_asked = 0;
};

// Reads the session's output, at most `bytes_max` at once, and tells it.
inline std::string TakeOutput(Session& session, Instant now, size_t bytes_max = SIZE_MAX) {
  std::vector<env::ConstBytes> pieces;
  session.Output(pieces);
  std::string text;
  for (const env::ConstBytes& piece : pieces) {
    text.append(reinterpret_cast<const char*>(piece.data), piece.size);
  }
  text.resize(std::min(text.size(), bytes_max));
  session.OnWritten(text.size(), now);
  return text;
}

inline std::string TakeAllOutput(Session& session, Instant now) {
  std::string all;
  for (std::string part = TakeOutput(session, now); !part.empty();
       part = TakeOutput(session, now)) {
    all += part;
  }
  return all;
}

// How many bytes were copied.
inline size_t Scatter(std::string_view bytes, std::span<const std::span<std::byte>> pieces) {
  size_t taken = 0;
  for (const std::span<std::byte> piece : pieces) {
    const size_t part = std::min(piece.size(), bytes.size() - taken);
    if (part > 0) std::memcpy(piece.data(), bytes.data() + taken, part);
    taken += part;
  }
  return taken;
}

// One read: as much of `bytes` as fits; how much it was, or -1 when the session gave up.
inline int64_t GiveOnce(Session& session, std::string_view bytes, Instant now) {
  std::byte scratch[2500];
  const std::span<std::byte> room = session.ReadRoom(scratch);
  const auto pieces = session.RoomPieces();
  const size_t taken = Scatter(bytes, pieces.empty() ? std::span(&room, 1) : pieces);
  if (taken == 0) return 0;
  return session.OnRead(taken, now) ? static_cast<int64_t>(taken) : -1;
}

// All of `bytes`, with output taken in between; what was written. Stops early when the session does
// not read.
inline std::string Give(Session& session, std::string_view bytes, Instant now) {
  std::string output;
  while (!bytes.empty()) {
    const int64_t taken = GiveOnce(session, bytes, now);
    output += TakeAllOutput(session, now);
    if (taken <= 0) break;
    bytes.remove_prefix(static_cast<size_t>(taken));
  }
  return output;
}

// Moves everything both ways until there is nothing left to move.
inline void MoveAll(Session& client, Session& server, Instant now) {
  std::string up = TakeAllOutput(client, now);
  std::string down = TakeAllOutput(server, now);
  while (!up.empty() || !down.empty()) {
    down += Give(server, up, now);
    up = Give(client, down, now);
    down.clear();
  }
}

// Writes every event down; answers each request, once it is complete, by `respond` if given, else
// with its body.
class RecordingHandler final : public RequestHandler {
 public:
  using Respond = std::function<void(const RequestHead&, const std::string& body, ResponseSender&)>;
  explicit RecordingHandler(Respond respond = nullptr) : respond_(std::move(respond)) {}

  std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) override {
    return std::make_unique<Receiver>(*this, std::move(head), sender);
  }

  std::vector<std::string> events;
  std::vector<ResponseSender*> senders;  // Of requests that are complete.
  size_t room_bytes = 100;               // Of each BodyRoom; 0 pauses.

 private:
  class Receiver final : public RequestReceiver {
   public:
    Receiver(RecordingHandler& handler, RequestHead head, ResponseSender& sender)
        : handler_(handler), head_(std::move(head)), sender_(sender) {
      std::string event = head_.method + " " + head_.target + " host=" + head_.authority;
      for (const auto field : head_.headers) {
        event.append(" ").append(field.name).append("=").append(field.value);
      }
      if (head_.content_length) event += " length " + std::to_string(*head_.content_length);
      handler_.events.push_back(event);
    }
    std::span<std::byte> BodyRoom(size_t) override {
      room_.resize(handler_.room_bytes);
      return {reinterpret_cast<std::byte*>(room_.data()), room_.size()};
    }
    void OnBody(size_t bytes) override { body_.append(room_.data(), bytes); }
    void OnRequestEnd(const Headers& trailers) override {
      std::string event = "end " + body_;
      for (const auto field : trailers) {
        event.append(" ").append(field.name).append("=").append(field.value);
      }
      handler_.events.push_back(event);
      handler_.senders.push_back(&sender_);
      if (handler_.respond_) return handler_.respond_(head_, body_, sender_);
      BufferList body;
      body.push_back(Buffer::Copy(body_));
      sender_.Respond(ResponseHead(), std::move(body));
    }
    void OnReset(const Status& why) override {
      handler_.events.push_back("reset " + std::string(StatusCodeName(why.code())));
    }
    void OnSendRoom() override { handler_.events.push_back("send room"); }
    void OnDrain(size_t bytes_waiting) override {
      handler_.events.push_back("drain " + std::to_string(bytes_waiting));
    }

   private:
    RecordingHandler& handler_;
    RequestHead head_;
    ResponseSender& sender_;
    std::string room_;
    std::string body_;
  };

  Respond respond_;
};

// What became of one request of a client.
struct Answer {
  std::vector<std::string> events;
  int status = 0;
  std::string body;
  bool ended = false;
  bool failed = false;
  bool unprocessed = false;
  StatusCode why = StatusCode::kOk;
  size_t room_bytes = 100;
};

class RecordingReceiver final : public ResponseReceiver {
 public:
  explicit RecordingReceiver(Answer& answer) : answer_(answer) {}
  std::span<std::byte> BodyRoom(size_t) override {
    room_.resize(answer_.room_bytes);
    return {reinterpret_cast<std::byte*>(room_.data()), room_.size()};
  }
  void OnBody(size_t bytes) override { answer_.body.append(room_.data(), bytes); }
  void OnResponse(ResponseHead head) override {
    answer_.status = head.status;
    std::string event = std::to_string(head.status);
    for (const auto field : head.headers) {
      event.append(" ").append(field.name).append("=").append(field.value);
    }
    if (head.content_length) event += " length " + std::to_string(*head.content_length);
    if (head.has_body) event += " body";
    answer_.events.push_back(event);
  }
  void OnResponseEnd(const Headers& trailers) override {
    std::string event = "end";
    for (const auto field : trailers) {
      event.append(" ").append(field.name).append("=").append(field.value);
    }
    answer_.events.push_back(event);
    answer_.ended = true;
  }
  void OnFailure(const Failure& failure) override {
    answer_.failed = true;
    answer_.unprocessed = failure.unprocessed;
    answer_.why = failure.why.code();
  }
  void OnSendRoom() override { answer_.events.push_back("send room"); }

 private:
  Answer& answer_;
  std::string room_;
};

inline RequestHead MakeRequest(std::string_view method, std::string_view target) {
  RequestHead head;
  head.method = method;
  head.target = target;
  head.authority = "h:80";
  head.scheme = "http";
  return head;
}

inline BufferList Text(std::string_view text) {
  BufferList list;
  list.push_back(Buffer::Copy(text));
  return list;
}

}  // namespace tepal::http
