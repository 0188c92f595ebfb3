// What the tests of HTTP/2 share: two sessions, and frames made by hand.

#pragma once

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <deque>
#include <set>
#include <string>
#include <string_view>

#include "network/http/session_test_support.h"

namespace tepal::http {

inline const RecordingHandler::Respond kLater = [](const RequestHead&, const std::string&,
                                                   ResponseSender&) {};

inline constexpr char kMagic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// By HPACK's static table: the method, ":scheme: http", ":path: /", ":authority: h".
inline constexpr char kGet[] = "\x82\x86\x84\x01\x01h";
inline constexpr char kPost[] = "\x83\x86\x84\x01\x01h";

inline std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string frame;
  for (const int shift : {16, 8, 0}) frame.push_back(static_cast<char>(payload.size() >> shift));
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(stream >> shift));
  return frame.append(payload);
}

class Http2SessionTest : public ::testing::Test {
 protected:
  void Begin(RecordingHandler::Respond respond = nullptr) {
    server.reset();
    client.reset();
    handler = std::make_unique<RecordingHandler>(std::move(respond));
    server = NewHttp2ServerSession(limits, host, *handler);
    client = NewHttp2ClientSession(limits, host);
  }
  void Exchange() { MoveAll(*client, *server, host.now); }
  RequestSender* Send(Answer& into, RequestHead head, bool end) {
    return client->Send(head, end, std::make_unique<RecordingReceiver>(into));
  }

  // Destroyed after the sessions, which tell every request about their end.
  std::deque<Answer> answers;
  Answer& answer = answers.emplace_back();

  Limits limits;
  TestHost host;
  std::unique_ptr<RecordingHandler> handler;
  std::unique_ptr<Session> server;
  std::unique_ptr<ClientSession> client;
};

}  // namespace tepal::http
