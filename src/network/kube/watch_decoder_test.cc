#include "network/kube/watch_decoder.h"

#include <gtest/gtest.h>

namespace tepal::kube {
namespace {

constexpr std::string_view kBody =
    "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}}}\n"
    "\n"
    "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"2\"}}}\r\n"
    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n";

TEST(WatchDecoder, GivesTheSameEventsHoweverTheBytesAreCut) {
  for (size_t first = 0; first <= kBody.size(); ++first) {
    for (const size_t second : {first, (first + kBody.size()) / 2, kBody.size()}) {
      WatchDecoder decoder;
      std::vector<WatchEvent> events;
      ASSERT_TRUE(decoder.Feed(kBody.substr(0, first), events).ok());
      ASSERT_TRUE(decoder.Feed(kBody.substr(first, second - first), events).ok());
      ASSERT_TRUE(decoder.Feed(kBody.substr(second), events).ok());
      ASSERT_TRUE(decoder.Finish().ok());
      ASSERT_EQ(events.size(), 3u);
      EXPECT_EQ(events[0].type, WatchEvent::Type::kAdded);
      EXPECT_EQ(*events[0].object.Find("metadata")->Find("name")->AsString(), "a");
      EXPECT_EQ(events[1].type, WatchEvent::Type::kBookmark);
      EXPECT_EQ(events[2].type, WatchEvent::Type::kError);
    }
  }
}

TEST(WatchDecoder, SaysWhenItWasCutInTwo) {
  const size_t end_of_first = kBody.find('\n') + 1;
  for (size_t cut = 1; cut < end_of_first - 1; ++cut) {
    WatchDecoder decoder;
    std::vector<WatchEvent> events;
    ASSERT_TRUE(decoder.Feed(kBody.substr(0, cut), events).ok());
    EXPECT_TRUE(events.empty());
    EXPECT_EQ(decoder.Finish().code(), StatusCode::kUnavailable);
  }
}

TEST(WatchDecoder, RefusesWhatIsNoEventAndTakesNoMore) {
  const std::pair<std::string_view, std::string_view> kWrong[] = {
      {"not json\n", "a line of the watch"},
      {"[]\n", "expected an object with 'type' and 'object'"},
      {R"({"type":"ADDED"})"
       "\n",
       "expected an object with 'type' and 'object'"},
      {R"({"type":"GONE","object":{}})"
       "\n",
       "got 'GONE', expected ADDED, MODIFIED"},
  };
  for (const auto& [line, message] : kWrong) {
    WatchDecoder decoder;
    std::vector<WatchEvent> events;
    const Status status = decoder.Feed(line, events);
    EXPECT_NE(status.message().find(message), std::string::npos) << status.message();
    EXPECT_FALSE(decoder.Feed(kBody, events).ok());
    EXPECT_TRUE(events.empty());
  }
}

TEST(WatchDecoder, RefusesALineThatIsTooLong) {
  WatchDecoder decoder(100);
  std::vector<WatchEvent> events;
  ASSERT_TRUE(decoder.Feed(std::string(60, ' '), events).ok());
  EXPECT_EQ(decoder.Feed(std::string(60, ' '), events).code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tepal::kube
