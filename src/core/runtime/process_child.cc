#include "core/runtime/process_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/base/text.h"

extern char** environ;

namespace tepal::runtime {
namespace {

constexpr int kFirstListenDescriptor = 3;  // sd_listen_fds(3).
constexpr std::string_view kListenPid = "LISTEN_PID=";
constexpr std::string_view kPidDigits = "0000000000";

std::string_view NameOf(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

std::vector<std::string> Environment(const env::ProcessOptions& options) {
  std::vector<std::string> variables;
  for (const auto& [name, value] : options.environment) variables.push_back(name + "=" + value);
  if (!options.listen_descriptors.empty()) {
    variables.push_back(Concat("LISTEN_FDS=", options.listen_descriptors.size()));
    variables.push_back(Concat(kListenPid, kPidDigits));
  }
  const size_t own = variables.size();
  char* const none[] = {nullptr};
  char* const* inherited = options.bare_environment ? none : environ;
  for (; *inherited != nullptr; ++inherited) {
    const std::string_view name = NameOf(*inherited);
    // Descriptors that were handed to us are not the child's.
    if (name == "LISTEN_FDS" || name == "LISTEN_PID" || name == "LISTEN_FDNAMES") continue;
    const bool replaced =
        std::any_of(variables.begin(), variables.begin() + static_cast<std::ptrdiff_t>(own),
                    [&](const std::string& variable) { return NameOf(variable) == name; });
    if (!replaced) variables.emplace_back(*inherited);
  }
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Result<ChildPlan> ChildPlan::Make(const env::ProcessOptions& options) {
  ChildPlan plan;
  plan.program_ = options.program;
  plan.cgroup_ = options.cgroup;
  plan.directory_ = options.directory;
  plan.arguments_ = {options.program};
  plan.arguments_.insert(plan.arguments_.end(), options.arguments.begin(), options.arguments.end());
  plan.environment_ = Environment(options);
  plan.listen_descriptors_ = options.listen_descriptors;
  plan.input_ = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!options.log_path.empty()) {
    plan.log_ =
        UniqueFd(open(options.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!plan.log_.valid()) {
      return Status::FromErrno(errno, Concat("opening the log ", options.log_path));
    }
  }
  if (!options.cgroup.empty()) {
    const std::string procs = options.cgroup + "/cgroup.procs";
    plan.cgroup_procs_ = UniqueFd(open(procs.c_str(), O_WRONLY | O_CLOEXEC));
    if (!plan.cgroup_procs_.valid()) return Status::FromErrno(errno, Concat("opening ", procs));
  }
  return plan;
}

Result<int> ChildPlan::Start() {
  argv_ = Pointers(arguments_);
  envp_ = Pointers(environment_);
  for (std::string& variable : environment_) {
    if (variable.starts_with(kListenPid) && !listen_descriptors_.empty()) {
      listen_pid_ = variable.data() + kListenPid.size();
    }
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Status::FromErrno(errno, "opening a pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const int parent = getpid();
  const pid_t child = fork();
  if (child < 0) return Status::FromErrno(errno, Concat("starting ", program_));
  if (child == 0) RunChild(writer.get(), parent);
  writer.Close();
  Failure failure;
  ssize_t got;
  do {
    got = read(reader.get(), &failure, sizeof(failure));
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof(failure))) return static_cast<int>(child);
  waitpid(child, nullptr, 0);
  return Explain(failure);
}

void ChildPlan::RunChild(int report, int parent) {
  // A group of its own: Ctrl-C in a terminal reaches the parent alone, which stops its children in
  // the order it wants.
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) Fail(report, Step::kParentGone);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);

  // "0" stands for the writer itself (cgroups(7)).
  if (cgroup_procs_.valid() && write(cgroup_procs_.get(), "0", 1) != 1) {
    Fail(report, Step::kCgroup);
  }
  if (!directory_.empty() && chdir(directory_.c_str()) != 0) Fail(report, Step::kDirectory);
  if (input_.valid()) dup2(input_.get(), STDIN_FILENO);
  if (log_.valid()) {
    dup2(log_.get(), STDOUT_FILENO);
    dup2(log_.get(), STDERR_FILENO);
  }
  // Out of the way of the places they go to, all of them first.
  const int count = static_cast<int>(listen_descriptors_.size());
  const int beyond = kFirstListenDescriptor + count;
  report = fcntl(report, F_DUPFD_CLOEXEC, beyond);
  if (report < 0) _exit(127);
  for (int& descriptor : listen_descriptors_) {
    descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, beyond);
    if (descriptor < 0) Fail(report, Step::kDescriptors);
  }
  for (int i = 0; i < count; ++i) {
    if (dup2(listen_descriptors_[static_cast<size_t>(i)], kFirstListenDescriptor + i) < 0) {
      Fail(report, Step::kDescriptors);
    }
  }
#ifdef SYS_close_range
  // What a library opened without close-on-exec; older kernels go without.
  constexpr unsigned kCloseOnExec = 1u << 2;  // CLOSE_RANGE_CLOEXEC
  syscall(SYS_close_range, static_cast<unsigned>(beyond), ~0u, kCloseOnExec);
#endif
  if (listen_pid_ != nullptr) {
    // std::to_chars neither allocates nor locks.
    char* const end = std::to_chars(listen_pid_, listen_pid_ + kPidDigits.size(), getpid()).ptr;
    *end = 0;
  }
  execve(program_.c_str(), argv_.data(), envp_.data());
  Fail(report, Step::kExec);
}

void ChildPlan::Fail(int report, Step step) {
  const Failure failure{step, errno};
  [[maybe_unused]] const ssize_t written = write(report, &failure, sizeof(failure));
  _exit(127);
}

Status ChildPlan::Explain(const Failure& failure) const {
  switch (failure.step) {
    case Step::kParentGone:
      return Cancelled(Concat("starting ", program_, ": the parent has gone"));
    case Step::kCgroup:
      return Status::FromErrno(failure.error, Concat("entering the cgroup ", cgroup_));
    case Step::kDirectory:
      return Status::FromErrno(failure.error, Concat("changing to ", directory_));
    case Step::kDescriptors:
      return Status::FromErrno(failure.error, Concat("handing listening sockets to ", program_));
    case Step::kExec:
      break;
  }
  return Status::FromErrno(failure.error, Concat("starting ", program_));
}

}  // namespace tepal::runtime
