#include "serving/kserve_wire/replica_messages.h"

#include <gtest/gtest.h>

#include "serving/kserve_wire/proto_fields.h"

namespace tepal {
namespace {

std::string Bytes(uint64_t number, const std::string& content) {
  std::string out;
  AppendBytesField(out, number, content);
  return out;
}
std::string Number(uint64_t number, uint64_t value) {
  std::string out;
  AppendVarintField(out, number, value);
  return out;
}

TEST(ReplicaMessagesTest, StatisticsAreSummed) {
  const auto model = [](uint64_t last, uint64_t count, uint64_t ns, const std::string& batches) {
    return Bytes(1, Bytes(1, "m") + Bytes(2, "1") + Number(3, last) + Number(4, count) +
                        Bytes(6, Bytes(1, Number(1, count) + Number(2, ns))) + batches);
  };
  const auto batch = [](uint64_t size, uint64_t count) {
    return Bytes(7, Number(1, size) + Bytes(3, Number(1, count)));
  };
  const std::string other = Bytes(1, Bytes(1, "other") + Bytes(2, "1") + Number(4, 5));
  const std::string first = model(300, 3, 1000, batch(1, 1) + batch(2, 1));
  const std::string second = model(200, 4, 500, batch(2, 2)) + other;
  EXPECT_EQ(MergeStatisticsMessages({first, second}),
            model(300, 7, 1500, batch(1, 1) + batch(2, 3)) + other);
  EXPECT_EQ(MergeStatisticsMessages({first}), first);
}

TEST(ReplicaMessagesTest, AModelIsReadyWhereAllAgree) {
  const auto model = [](const std::string& name, const std::string& state,
                        const std::string& reason = "") {
    return Bytes(1, Bytes(1, name) + Bytes(2, "1") + Bytes(3, state) +
                        (reason.empty() ? "" : Bytes(4, reason)));
  };
  const std::string first = model("a", "READY") + model("b", "READY");
  const std::string second = model("a", "READY") + model("b", "LOADING", "soon");
  EXPECT_EQ(
      MergeIndexMessages({first, second}, false),
      model("a", "READY") + model("b", "UNAVAILABLE", "READY on 1 of 2 replicas; elsewhere: soon"));
  EXPECT_EQ(MergeIndexMessages({first, second}, true), model("a", "READY"));
  EXPECT_TRUE(AsksReadyOnly(Bytes(1, "") + Number(2, 1)));
  EXPECT_FALSE(AsksReadyOnly(""));
}

TEST(ReplicaMessagesTest, EntriesAreAddedToThoseBefore) {
  const std::string entry = Bytes(1, Bytes(1, "m") + Number(4, 5));
  std::string out = entry;
  EXPECT_EQ(AppendEntries(entry + Number(9, 1) + entry, out), 2u);
  EXPECT_EQ(out, entry + entry + entry);
  EXPECT_EQ(AppendEntries("", out), 0u);
  EXPECT_EQ(AppendEntries(entry + entry.substr(0, 4), out), 1u);  // Cut off.
  EXPECT_EQ(out, entry + entry + entry + entry);
}

}  // namespace
}  // namespace tepal
