// Keepalive, strikes, floods and age of HTTP/2 connections, by both sides' sessions.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <deque>

#include "network/http/http2_test_support.h"

namespace tepal::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Http2LivenessTest : public Http2SessionTest {
 protected:
  // The server reads `frame` again and again, and may answer; how many it took.
  int Repeat(const std::string& frame, int times) {
    int taken = 0;
    for (; taken < times && !server->Finished(); ++taken) {
      output += Give(*server, frame, host.now);
    }
    return taken;
  }
  void Shake() { output = Give(*server, kMagic + Frame(NGHTTP2_SETTINGS, 0, 0, ""), host.now); }

  std::string output;
};

const std::string kPing = Frame(NGHTTP2_PING, 0, 0, "12345678");

TEST_F(Http2LivenessTest, PingsGoIntoSilenceAndAnythingIsASignOfLife) {
  limits.keepalive_time = 10s;
  Begin(kLater);
  Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  for (Session* side : {static_cast<Session*>(client.get()), server.get()}) {
    ASSERT_EQ(side->NextDeadline(), host.now + 10s);
  }
  host.now += 10s;
  EXPECT_TRUE(client->OnTime(host.now));
  EXPECT_EQ(client->NextDeadline(), host.now + limits.keepalive_timeout);
  host.now += 5s;
  Exchange();  // The answer.
  EXPECT_EQ(client->NextDeadline(), host.now + 10s);
  EXPECT_FALSE(answer.failed);
}

TEST_F(Http2LivenessTest, SilenceAfterAPingEndsTheConnection) {
  limits.keepalive_time = 10s;
  Begin(kLater);
  Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  host.now += 10s;
  EXPECT_TRUE(client->OnTime(host.now));
  EXPECT_TRUE(server->OnTime(host.now));
  host.now += limits.keepalive_timeout;
  EXPECT_FALSE(client->OnTime(host.now));
  EXPECT_FALSE(server->OnTime(host.now));
  EXPECT_TRUE(answer.failed);
  EXPECT_EQ(answer.why, StatusCode::kUnavailable);
  EXPECT_EQ(handler->events.back(), "reset UNAVAILABLE");
}

TEST_F(Http2LivenessTest, WithoutStreamsPingsAreSentOnlyWhenAllowed) {
  limits.keepalive_time = 10s;
  Begin();
  Exchange();
  EXPECT_EQ(server->NextDeadline(), host.now + limits.idle_max);
  limits.keepalive_without_streams = true;
  Begin();
  Exchange();
  EXPECT_EQ(server->NextDeadline(), host.now + 10s);
}

TEST_F(Http2LivenessTest, TooManyPingsEndTheConnection) {
  Begin();
  Shake();
  // The first, and two strikes.
  EXPECT_EQ(Repeat(kPing, 3), 3);
  EXPECT_FALSE(server->Finished());
  EXPECT_THAT(output, Not(HasSubstr("too_many_pings")));
  Repeat(kPing, 1);
  EXPECT_TRUE(server->Finished());
  EXPECT_THAT(output, HasSubstr("too_many_pings"));
}

TEST_F(Http2LivenessTest, PingsFarApartAreNoStrikes) {
  limits.idle_max = 1'000'000s;
  Begin();
  Shake();
  for (int i = 0; i < 10; ++i) {
    host.now += 7200s;  // There is no stream.
    Repeat(kPing, 1);
  }
  EXPECT_FALSE(server->Finished());
  for (int i = 0; i < 10; ++i) {
    host.now += limits.ping_interval_min;
    Repeat(kPing, 1);
  }
  EXPECT_TRUE(server->Finished());

  limits.keepalive_without_streams = true;
  Begin();
  Shake();
  for (int i = 0; i < 10; ++i) {
    host.now += limits.ping_interval_min;
    Repeat(kPing, 1);
  }
  EXPECT_FALSE(server->Finished());
}

TEST_F(Http2LivenessTest, AnAnswerForgivesStrikes) {
  Begin();
  Shake();
  for (uint32_t id = 1; id < 100; id += 2) {
    Repeat(kPing, 2);
    Repeat(Frame(NGHTTP2_HEADERS, 5, id, kGet), 1);
  }
  EXPECT_FALSE(server->Finished());
}

// As grpc-go does under load on a short path: thousands of pings a second, one after each answer.
TEST_F(Http2LivenessTest, PingsThatMeasureThePathAreNoFlood) {
  Begin();
  Shake();
  const auto pings = static_cast<int>(limits.control_frames_burst_max) * 2;
  for (int i = 0; i < pings && !server->Finished(); ++i) {
    Repeat(Frame(NGHTTP2_HEADERS, 5, static_cast<uint32_t>(2 * i + 1), kGet), 1);
    Repeat(kPing, 1);
  }
  EXPECT_FALSE(server->Finished())
      << output.substr(output.size() - std::min<size_t>(output.size(), 200));
}

TEST_F(Http2LivenessTest, StrikesMayBeSwitchedOff) {
  limits.ping_strikes_max = 0;
  Begin();
  Shake();
  Repeat(kPing, 100);
  EXPECT_FALSE(server->Finished());
}

// Also a peer that takes our answers is limited.
TEST_F(Http2LivenessTest, ControlFramesHaveARate) {
  limits.ping_strikes_max = 0;
  const std::string frames[] = {kPing, Frame(NGHTTP2_SETTINGS, 0, 0, ""),
                                Frame(NGHTTP2_PRIORITY, 0, 3, std::string("\0\0\0\0\1", 5))};
  for (const std::string& frame : frames) {
    Begin();
    Shake();
    // The peer's first SETTINGS are one; a first ping is taken to follow something of ours.
    const int burst = static_cast<int>(limits.control_frames_burst_max) - (frame == kPing ? 0 : 1);
    EXPECT_EQ(Repeat(frame, burst), burst);
    EXPECT_FALSE(server->Finished());
    host.now += 1s;
    const int more = static_cast<int>(limits.control_frames_per_second_max);
    EXPECT_EQ(Repeat(frame, more), more);
    EXPECT_FALSE(server->Finished());
    Repeat(frame, 1);
    EXPECT_TRUE(server->Finished());
    EXPECT_THAT(output, HasSubstr("too_many_control_frames"));
  }
}

TEST_F(Http2LivenessTest, EmptyDataFramesAreControlFrames) {
  Begin(kLater);
  Shake();
  Repeat(Frame(NGHTTP2_HEADERS, 4, 1, kPost), 1);
  Repeat(Frame(NGHTTP2_DATA, 0, 1, ""), 2000);
  EXPECT_THAT(output, HasSubstr("too_many_control_frames"));
}

// CVE-2023-44487.
TEST_F(Http2LivenessTest, ResetsHaveARate) {
  Begin(kLater);
  Shake();
  uint32_t id = 1;
  const auto reset_many = [&](uint32_t count) {
    std::string input;
    for (uint32_t i = 0; i < count; ++i, id += 2) {
      input += Frame(NGHTTP2_HEADERS, 5, id, kGet);
      input += Frame(NGHTTP2_RST_STREAM, 0, id, std::string("\0\0\0\x08", 4));
    }
    output += Give(*server, input, host.now);
  };
  reset_many(limits.resets_burst_max);
  EXPECT_FALSE(server->Finished());
  host.now += 1s;
  reset_many(limits.resets_per_second_max);
  EXPECT_FALSE(server->Finished());
  EXPECT_EQ(handler->senders.size(), limits.resets_burst_max + limits.resets_per_second_max);
  reset_many(1);
  EXPECT_TRUE(server->Finished());
  EXPECT_THAT(output, HasSubstr("too_many_resets"));
}

// CVE-2025-8671: the peer makes us reset.
TEST_F(Http2LivenessTest, ResetsThatThePeerProvokesHaveTheSameRate) {
  Begin(kLater);
  Shake();
  for (uint32_t id = 1; id < 10000 && !server->Finished(); id += 2) {
    Repeat(Frame(NGHTTP2_HEADERS, 5, id, kGet), 1);
    Repeat(Frame(NGHTTP2_WINDOW_UPDATE, 0, id, "\x7f\xff\xff\xff"), 1);  // Overflows.
  }
  EXPECT_EQ(handler->senders.size(), limits.resets_burst_max + 1);
  EXPECT_THAT(output, HasSubstr("too_many_resets"));
}

TEST_F(Http2LivenessTest, AnOldConnectionIsDrained) {
  limits.connection_age_max = 60s;
  limits.connection_age_grace = 5s;
  Begin(kLater);
  const Instant born = host.now;
  Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  while (client->Capacity() > 0 && host.now < born + 100s) {
    host.now = *server->NextDeadline();
    server->OnTime(host.now);
    Exchange();
  }
  EXPECT_GE(host.now, born + 54s);
  EXPECT_LE(host.now, born + 66s);
  EXPECT_EQ(client->Capacity(), 0u);
  EXPECT_FALSE(server->Finished());
  EXPECT_EQ(server->NextDeadline(), host.now + 5s);
  host.now += 5s;
  EXPECT_FALSE(server->OnTime(host.now));
  EXPECT_EQ(handler->events.back(), "reset UNAVAILABLE");
}

TEST_F(Http2LivenessTest, AgesOfConnectionsThatBeganTogetherDiffer) {
  limits.connection_age_max = 1000s;
  limits.idle_max = 10000s;
  std::set<Instant> ages;
  for (host.ordinal = 0; host.ordinal < 100; ++host.ordinal) {
    Begin();
    ages.insert(*server->NextDeadline());
  }
  EXPECT_GT(ages.size(), 95u);
  EXPECT_GT(*ages.rbegin() - *ages.begin(), 150s);
}

TEST_F(Http2LivenessTest, WithoutAGraceOldConnectionsEndWhenTheyAreDone) {
  limits.connection_age_max = 60s;
  Begin(kLater);
  Send(answer, MakeRequest("GET", "/"), true);
  Exchange();
  host.now += 66s;
  server->OnTime(host.now);
  Exchange();
  host.now += 100'000s;
  server->OnTime(host.now);
  EXPECT_FALSE(server->Finished());
  handler->senders[0]->Respond(ResponseHead(), {});
  Exchange();
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(server->Finished());
}

}  // namespace
}  // namespace tepal::http
