#include "core/runtime/line_writer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include "core/base/text.h"

namespace tepal::runtime {
namespace {

class LineWriterTest : public testing::Test {
 protected:
  LineWriterTest() {
    std::string folder = testing::TempDir() + "linesXXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    path_ = folder + "/access.log";
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string path_;
};

TEST_F(LineWriterTest, LinesOfAllThreadsAreThereWhole) {
  {
    const auto writer = LineWriter::New(path_).value();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        for (int line = 0; line < 500; ++line) EXPECT_TRUE(writer->Write(Concat(i, "\n")));
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(writer->dropped(), 0u);
  }
  const std::string text = Read(path_);
  EXPECT_EQ(text.size(), 4 * 500 * 2u);
  for (size_t i = 1; i < text.size(); i += 2) EXPECT_EQ(text[i], '\n');
}

TEST_F(LineWriterTest, ReopenFollowsTheName) {
  {
    const auto writer = LineWriter::New(path_).value();
    EXPECT_TRUE(writer->Write("before\n"));
    EXPECT_EQ(std::rename(path_.c_str(), (path_ + ".1").c_str()), 0);
    writer->Reopen();
    struct stat facts;
    while (stat(path_.c_str(), &facts) != 0) std::this_thread::yield();
    EXPECT_TRUE(writer->Write("after\n"));
  }
  EXPECT_EQ(Read(path_ + ".1"), "before\n");
  EXPECT_EQ(Read(path_), "after\n");
}

TEST_F(LineWriterTest, WhatDoesNotFitIsDroppedAndCounted) {
  const auto writer = LineWriter::New(path_, 10).value();
  EXPECT_FALSE(writer->Write("more than ten bytes\n"));
  EXPECT_EQ(writer->dropped(), 1u);
  EXPECT_TRUE(writer->Write("fits\n"));
}

TEST_F(LineWriterTest, AFileThatCannotBeOpenedIsNamed) {
  const auto writer = LineWriter::New("/nowhere/at/all");
  EXPECT_EQ(writer.status().message(), "opening /nowhere/at/all: No such file or directory");
}

}  // namespace
}  // namespace tepal::runtime
