#include "balancing/nginx_conf/access_log_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tepal::nginx_conf {
namespace {

using testing::HasSubstr;

// With directives outside of, in and in a location of, its one server.
Result<Reading> ReadFile(std::string_view outside, std::string_view in_server = "",
                         std::string_view in_location = "") {
  return ReadNginxConf(
      Concat("upstream u { server a:1; }\n", outside, "\nserver {\n", in_server,
             "\nlocation / { proxy_pass http://u; health_check;\n", in_location, "\n} }"),
      "nginx.conf");
}

// The access log, and the notes, a line each.
std::string Log(std::string_view outside, std::string_view in_server = "",
                std::string_view in_location = "") {
  const Result<Reading> reading = ReadFile(outside, in_server, in_location);
  if (!reading.ok()) return reading.status().message();
  std::string text = reading->config.access_log;
  for (const Note& note : reading->notes) text += "\n" + NoteText("nginx.conf", note);
  return text;
}

TEST(AccessLogReaderTest, AFileStdoutOrNone) {
  EXPECT_EQ(Log(""), "off");
  EXPECT_EQ(Log("access_log off;"), "off");
  EXPECT_EQ(Log("access_log /var/log/a;"), "/var/log/a");
  EXPECT_EQ(Log("access_log /dev/stdout;"), "stdout");
  EXPECT_EQ(Log("", "", "access_log off;"), "off");
}

TEST(AccessLogReaderTest, FormatsAreOurOwnAndNamedWithTheirLine) {
  EXPECT_EQ(Log("log_format main '$request';\naccess_log /a main buffer=32k flush=5m;"),
            "/a\n"
            "nginx.conf:2: not honoured: log_format (lines of the access log are JSON of our own)\n"
            "nginx.conf:3: honoured differently: lines of the access log are JSON, not of the "
            "format 'main'");
  const std::string rest = Log("access_log /a combined gzip=6 if=$loggable;");
  EXPECT_THAT(rest, HasSubstr(":2: not honoured: access_log … gzip (lines are written"));
  EXPECT_THAT(rest, HasSubstr(":2: not honoured: access_log … if (every request is logged)"));
}

TEST(AccessLogReaderTest, ThereIsOneLog) {
  EXPECT_EQ(Log("", "access_log /a;"),
            "/a\nnginx.conf:4: honoured differently: requests of every server are logged there");
  EXPECT_EQ(Log("access_log /a;", "access_log /b;", "access_log off;"),
            "/a\nnginx.conf:4: not honoured: access_log (there is one access log: /a)\n"
            "nginx.conf:6: not honoured: access_log (there is one access log, of every request)");
  EXPECT_EQ(Log("access_log /a;", "access_log /a;"), "/a");
  for (const char* elsewhere : {"syslog:server=10.0.0.1", "/var/log/$host"}) {
    EXPECT_EQ(
        Log(Concat("access_log ", elsewhere, ";")),
        "off\nnginx.conf:2: not honoured: access_log (the access log is one file, or stdout)");
  }
}

TEST(AccessLogReaderTest, WhatCannotBeMeantIsAnError) {
  EXPECT_EQ(Log("access_log;"), "nginx.conf:2: 'access_log': expected a file or off");
  EXPECT_EQ(Log("access_log /a main size=3;"),
            "nginx.conf:2: 'access_log': got 'size=3', expected a format, buffer=, flush=, gzip or "
            "if=");
}

}  // namespace
}  // namespace tepal::nginx_conf
