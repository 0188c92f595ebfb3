#include "network/http/body_collector.h"

#include <gtest/gtest.h>

#include "network/http/status_map.h"

namespace tepal::http {
namespace {

struct RecordingSender final : ResponseSender {
  void Respond(ResponseHead head, BufferList body) override {
    ++responses;
    status = head.status;
    text = std::string(Flatten(body).text());
  }
  void Start(ResponseHead) override {}
  void Write(BufferList) override {}
  void Finish(const Headers*) override {}
  void Interim(int) override {}
  void Reset(uint32_t) override {}
  void ResumeBody() override {}
  size_t unsent_bytes() const override { return 0; }
  int responses = 0;
  int status = 0;
  std::string text;
};

// Feeds `body` in pieces of at most `piece` bytes, as a session does.
void Feed(BodySink& sink, std::string_view body, size_t piece) {
  while (!body.empty()) {
    const auto room = sink.BodyRoom(0);
    ASSERT_FALSE(room.empty());
    const size_t bytes = std::min({room.size(), piece, body.size()});
    std::memcpy(room.data(), body.data(), bytes);
    sink.OnBody(bytes);
    body.remove_prefix(bytes);
  }
}

TEST(BodyCollectorTest, KnownLengthGivesTheWholeRoomAtOnce) {
  BodyCollector collector(100, 1000);
  EXPECT_EQ(collector.BodyRoom(0).size(), 100u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(collector.BodyRoom(0).data()) % kSlabAlignment, 0u);
}

TEST(BodyCollectorTest, UnknownLengthGrowsUpToTheMaximumExactly) {
  for (const size_t size : {0u, 1u, 4096u, 4097u, 99999u, 100000u}) {
    std::string body(size, 'x');
    for (size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 26);
    RequestHead head;
    RecordingSender sender;
    std::optional<std::string> got;
    CollectingRequest request(head, 100000, sender, [&](Buffer b) { got = std::string(b.text()); });
    Feed(request, body, 777);
    request.OnRequestEnd(Headers());
    EXPECT_EQ(got, body);
    EXPECT_EQ(sender.responses, 0);
  }
}

TEST(BodyCollectorTest, OneByteTooManyIsAnsweredWith413Once) {
  RequestHead head;
  RecordingSender sender;
  bool called = false;
  CollectingRequest request(head, 10000, sender, [&](Buffer) { called = true; });
  Feed(request, std::string(30001, 'x'), 5000);
  request.OnRequestEnd(Headers());
  request.OnReset(Cancelled("gone"));
  EXPECT_FALSE(called);
  EXPECT_EQ(sender.responses, 1);
  EXPECT_EQ(sender.status, 413);
}

TEST(BodyCollectorTest, DeclaredTooLargeAllocatesNothingOfThatSize) {
  BodyCollector collector(uint64_t{1} << 60, 1000);
  EXPECT_TRUE(collector.overflowed());
  EXPECT_LE(collector.BodyRoom(0).size(), 4096u);
}

TEST(StatusMapTest, AnswersAsTritonDoes) {
  EXPECT_EQ(HttpStatus(StatusCode::kInternal), 500);
  EXPECT_EQ(HttpStatus(StatusCode::kNotFound), 404);
  EXPECT_EQ(HttpStatus(StatusCode::kUnavailable), 503);
  EXPECT_EQ(HttpStatus(StatusCode::kUnimplemented), 501);
  EXPECT_EQ(HttpStatus(StatusCode::kDeadlineExceeded), 504);
  EXPECT_EQ(HttpStatus(StatusCode::kResourceExhausted), 503);
  EXPECT_EQ(HttpStatus(StatusCode::kInvalidArgument), 400);
  EXPECT_EQ(HttpStatus(StatusCode::kAlreadyExists), 400);
  EXPECT_EQ(HttpStatus(StatusCode::kCancelled), 400);
}

TEST(StatusMapTest, ErrorBodyEscapes) {
  EXPECT_EQ(ErrorBody("a \"b\" \\ \n\x01 ü"), "{\"error\":\"a \\\"b\\\" \\\\ \\n\\u0001 ü\"}");
  RecordingSender sender;
  RespondError(sender, NotFound("no such model"));
  EXPECT_EQ(sender.status, 404);
  EXPECT_EQ(sender.text, "{\"error\":\"no such model\"}");
}

}  // namespace
}  // namespace tepal::http
