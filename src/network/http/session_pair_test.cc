// A client session and a server session back to back, with every byte between them cut at random.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

struct Protocol {
  const char* name;
  std::unique_ptr<ClientSession> (*client)(const Limits&, SessionHost&);
  std::unique_ptr<Session> (*server)(const Limits&, SessionHost&, RequestHandler&);
  int at_once;
};

// Moves some of what one session wants to write to the other; false when nothing moved.
bool Move(Session& from, Session& to, std::mt19937& random, Instant now) {
  std::vector<env::ConstBytes> pieces;
  from.Output(pieces);
  std::string bytes;
  for (const env::ConstBytes& piece : pieces) {
    bytes.append(reinterpret_cast<const char*>(piece.data), piece.size);
  }
  if (bytes.empty()) return false;
  const size_t most = random() % 4 == 0 ? 1 + random() % 20 : 1 + random() % 30000;
  bytes.resize(std::min(bytes.size(), most));
  std::vector<std::byte> scratch(1 + random() % 5000);
  size_t moved = 0;
  while (moved < bytes.size()) {
    const std::span<std::byte> room = to.ReadRoom(scratch);
    if (room.empty()) break;
    const auto rooms = to.RoomPieces();
    const size_t most_now = std::min(bytes.size() - moved, size_t{1} + random() % 9000);
    const size_t part = Scatter(std::string_view(bytes).substr(moved, most_now),
                                rooms.empty() ? std::span(&room, 1) : rooms);
    moved += part;
    EXPECT_TRUE(to.OnRead(part, now));
  }
  from.OnWritten(moved, now);
  return moved > 0;
}

std::string RandomText(std::mt19937& random, size_t size_max) {
  std::string text(random() % (size_max + 1), ' ');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

// Echoes a body back while it comes, in one of several ways the target names; pauses now and then.
class EchoHandler final : public RequestHandler {
 public:
  explicit EchoHandler(std::mt19937& random) : random_(random) {}

  std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) override {
    return std::make_unique<Receiver>(*this, std::move(head), sender);
  }
  void ResumeAll() {
    for (auto* sender : std::exchange(paused_, {})) sender->ResumeBody();
  }

 private:
  struct Receiver final : RequestReceiver {
    Receiver(EchoHandler& h, RequestHead r, ResponseSender& s)
        : handler(h), request(std::move(r)), sender(s) {
      if (streams()) {
        ResponseHead head;
        head.headers.Add("x-target", request.target);
        sender.Start(std::move(head));
      }
    }
    ~Receiver() override { std::erase(handler.paused_, &sender); }
    bool streams() const { return request.target.starts_with("/stream"); }
    std::span<std::byte> BodyRoom(size_t expected) override {
      if (handler.random_() % 8 == 0) {
        handler.paused_.push_back(&sender);
        return {};
      }
      room.resize(1 + handler.random_() % (expected + 4000));
      return std::as_writable_bytes(std::span(room));
    }
    void OnBody(size_t bytes) override {
      if (streams()) return sender.Write(Text(std::string_view(room).substr(0, bytes)));
      body.append(room, 0, bytes);
    }
    void OnRequestEnd(const Headers& trailers) override {
      if (streams()) return sender.Finish(&trailers);
      ResponseHead head;
      head.headers.Add("x-target", request.target);
      sender.Respond(std::move(head), Text(body));
    }
    void OnReset(const Status& why) override { ADD_FAILURE() << why.ToString(); }
    EchoHandler& handler;
    RequestHead request;
    ResponseSender& sender;
    std::string room;
    std::string body;
  };

  std::mt19937& random_;
  std::vector<ResponseSender*> paused_;
};

class SessionPairTest : public ::testing::TestWithParam<Protocol> {};

// One request of the test, sent piece by piece.
struct Call {
  Answer answer;
  std::string body;
  std::string target;
  Headers trailers;
  size_t sent = 0;
  RequestSender* sender = nullptr;
  bool finished = false;
};

void SendSome(Call& call, std::mt19937& random) {
  if (call.finished || call.sender == nullptr || call.answer.ended) return;
  const size_t part = std::min<size_t>(call.body.size() - call.sent, random() % 40000);
  call.sender->Write(Text(std::string_view(call.body).substr(call.sent, part)));
  call.sent += part;
  if (call.sent < call.body.size()) return;
  call.finished = true;
  call.sender->Finish(&call.trailers);
}

TEST_P(SessionPairTest, EveryBodyComesBackWhateverTheCuts) {
  for (uint32_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    TestHost host;
    Limits limits;
    limits.window_bytes = static_cast<uint32_t>(1 + random() % 100000);
    limits.connection_window_bytes = static_cast<uint32_t>(65535 + random() % 100000);
    limits.send_high_water_bytes = 1000;
    EchoHandler handler(random);
    auto server = GetParam().server(limits, host, handler);
    auto client = GetParam().client(limits, host);
    std::vector<std::unique_ptr<Call>> calls;
    size_t ended = 0;
    for (int turn = 0; ended < 12 && turn < 200000; ++turn) {
      if (calls.size() < 12 && calls.size() - ended < static_cast<size_t>(GetParam().at_once) &&
          client->Capacity() > 0) {
        auto call = std::make_unique<Call>();
        call->body = RandomText(random, random() % 3 == 0 ? 300000 : 300);
        call->target = random() % 2 == 0 ? "/stream" : "/whole";
        call->target += std::to_string(calls.size());
        RequestHead head = MakeRequest("POST", call->target);
        if (random() % 2 == 0) head.content_length = call->body.size();
        if (!head.content_length) call->trailers.Add("x-sum", std::to_string(seed));
        call->answer.room_bytes = 1 + random() % 10000;
        call->sender = client->Send(head, false, std::make_unique<RecordingReceiver>(call->answer));
        ASSERT_NE(call->sender, nullptr);
        calls.push_back(std::move(call));
      }
      for (auto& call : calls) SendSome(*call, random);
      Move(*client, *server, random, host.now);
      Move(*server, *client, random, host.now);
      if (random() % 3 == 0) handler.ResumeAll();
      ended = static_cast<size_t>(
          std::count_if(calls.begin(), calls.end(), [](const auto& c) { return c->answer.ended; }));
    }
    ASSERT_EQ(ended, 12u);
    for (const auto& call : calls) {
      EXPECT_EQ(call->answer.status, 200);
      EXPECT_TRUE(call->answer.body == call->body) << call->target;
      EXPECT_THAT(call->answer.events, Contains(HasSubstr("x-target=" + call->target)));
      if (call->target.starts_with("/stream") && !call->trailers.empty()) {
        EXPECT_EQ(call->answer.events.back(), "end x-sum=" + std::to_string(seed));
      }
    }
    server->Drain(host.now);
    for (int turn = 0; turn < 100; ++turn) {
      Move(*server, *client, random, host.now);
      Move(*client, *server, random, host.now);
    }
    // A client of HTTP/2 may know before it has answered the ping, and closes.
    if (!server->Finished() && client->Finished()) server->OnReadEnd(host.now);
    // An idle connection of HTTP/1.1 could have had one more request.
    if (!server->Finished()) server->OnTime(host.now + limits.drain_first_request_max);
    EXPECT_TRUE(server->Finished());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Protocols, SessionPairTest,
    ::testing::Values(Protocol{"http1", NewHttp1ClientSession, NewHttp1ServerSession, 1},
                      Protocol{"http2", NewHttp2ClientSession, NewHttp2ServerSession, 5},
                      Protocol{"http1_chosen", NewHttp1ClientSession, NewServerSession, 1},
                      Protocol{"http2_chosen", NewHttp2ClientSession, NewServerSession, 5}),
    [](const auto& protocol) { return std::string(protocol.param.name); });

}  // namespace
}  // namespace tepal::http
