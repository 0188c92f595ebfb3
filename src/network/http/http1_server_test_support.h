// A server session of HTTP/1.1 whose host and handler are the test's.

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "network/http/session_test_support.h"

namespace tepal::http {

class Http1ServerTest : public ::testing::Test {
 protected:
  void Begin(RecordingHandler::Respond respond = nullptr) {
    handler = std::make_unique<RecordingHandler>(std::move(respond));
    session = NewHttp1ServerSession(limits, host, *handler);
  }
  std::string Give(std::string_view bytes) { return http::Give(*session, bytes, host.now); }
  std::string Take() { return TakeAllOutput(*session, host.now); }

  Limits limits;
  TestHost host;
  std::unique_ptr<RecordingHandler> handler;
  std::unique_ptr<Session> session;
};

// A handler that answers only when told to.
inline const RecordingHandler::Respond kLater = [](const RequestHead&, const std::string&,
                                                   ResponseSender&) {};

}  // namespace tepal::http
