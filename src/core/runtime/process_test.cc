#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/runtime/runtime.h"

namespace tepal::runtime {
namespace {

class ProcessTest : public testing::Test {
 protected:
  ProcessTest() {
    loop = EpollLoop::New().value();
    loop->RunAfter(10s, [this] {
      ADD_FAILURE() << "the test took too long";
      loop->Stop();
    });
    log = Concat(testing::TempDir(), "/process_test.", getpid(), ".log");
    unlink(log.c_str());
  }
  ~ProcessTest() override { unlink(log.c_str()); }

  env::ProcessOptions Shell(const std::string& script) {
    env::ProcessOptions options;
    options.program = "/bin/sh";
    options.arguments = {"-c", script};
    options.log_path = log;
    return options;
  }
  void Start(env::ProcessOptions options) {
    auto started = loop->processes().Start(std::move(options), [this](env::ProcessExit how) {
      exit = how;
      exited = true;
      loop->Stop();
    });
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    EXPECT_FALSE(exited);
    process = std::move(started).value();
  }
  std::string Log() { return SystemFileSystem().Read(log).value(); }

  std::unique_ptr<EpollLoop> loop;
  std::unique_ptr<env::Process> process;
  std::string log;
  bool exited = false;
  env::ProcessExit exit;
};

TEST_F(ProcessTest, RunsInADirectoryWithAnEnvironmentOfItsOwn) {
  env::ProcessOptions options = Shell("pwd; echo \"$GREETING ${HOME-none}\"");
  options.directory = "/usr";
  options.environment = {{"GREETING", "hello"}};
  options.bare_environment = true;
  Start(options);
  loop->Run();
  EXPECT_EQ(Log(), "/usr\nhello none\n");
  options.directory = "/no/such";
  const auto refused = loop->processes().Start(options, [](env::ProcessExit) {});
  EXPECT_NE(refused.status().message().find("/no/such"), std::string::npos);
}

TEST_F(ProcessTest, ReportsTheExitCodeAndKeepsTheLog) {
  env::ProcessOptions options = Shell("echo out; echo $GREETING >&2; exit 7");
  options.environment = {{"GREETING", "hello"}};
  Start(std::move(options));
  loop->Run();
  EXPECT_FALSE(exit.signalled);
  EXPECT_EQ(exit.code, 7);
  EXPECT_EQ(Log(), "out\nhello\n");
  process->Signal(SIGTERM);  // Too late: ignored.
}

TEST_F(ProcessTest, ReportsTheSignal) {
  Start(Shell("echo ready; exec sleep 30"));
  process->Signal(SIGTERM);
  loop->Run();
  EXPECT_TRUE(exit.signalled);
  EXPECT_EQ(exit.code, SIGTERM);
}

TEST_F(ProcessTest, AProgramThatCannotStartIsAnError) {
  env::ProcessOptions options;
  options.program = "/no/such/program";
  const auto started = loop->processes().Start(options, [](env::ProcessExit) { ADD_FAILURE(); });
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.status().ToString(),
            "NOT_FOUND: starting /no/such/program: No such file or directory");
}

TEST_F(ProcessTest, HandsOverListeningDescriptors) {
  auto first = loop->Listen({env::Address::Family::kIp4, "127.0.0.1", 0}, {},
                            [](std::unique_ptr<env::Stream>) {});
  ASSERT_TRUE(first.ok());
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  env::ProcessOptions options =
      Shell("echo $LISTEN_FDS; test $LISTEN_PID = $$ && echo mine; echo three >&3; echo four >&4");
  // Already at the places they go to, the other way round.
  options.listen_descriptors = {pipe_ends[1], pipe_ends[1]};
  Start(std::move(options));
  loop->Run();
  EXPECT_EQ(Log(), "2\nmine\n");
  char text[32];
  const ssize_t size = read(pipe_ends[0], text, sizeof(text));
  EXPECT_EQ(std::string_view(text, static_cast<size_t>(size)), "three\nfour\n");
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST_F(ProcessTest, EntersACgroupBeforeTheProgramStarts) {
  // A folder with a cgroup.procs file stands for a cgroup: what matters is who writes what to it.
  const std::string cgroup = Concat(testing::TempDir(), "/process_test.cgroup.", getpid());
  ASSERT_TRUE(SystemFileSystem().MakeDirectories(cgroup).ok());
  const std::string procs = cgroup + "/cgroup.procs";
  ASSERT_TRUE(SystemFileSystem().Replace(procs, "").ok());
  env::ProcessOptions options = Shell("cat " + procs);
  options.cgroup = cgroup;
  Start(std::move(options));
  loop->Run();
  EXPECT_EQ(Log(), "0");
  EXPECT_TRUE(SystemFileSystem().Remove(procs).ok());
  EXPECT_TRUE(SystemFileSystem().Remove(cgroup).ok());
}

TEST_F(ProcessTest, AnAbandonedChildIsStillWaitedFor) {
  Start(Shell("exit 0"));
  const int pid = process->pid();
  process.reset();
  Function<void()> look = [&] {
    if (kill(pid, 0) != 0) return loop->Stop();
    loop->RunAfter(1ms, [&] { look(); });
  };
  look();
  loop->Run();
  EXPECT_FALSE(exited);
}

}  // namespace
}  // namespace tepal::runtime
