// tepal up: replicas, balancer and autoscaler on one machine, from one file.
//
// One process hosts the balancer and the supervisor; each replica is a `tepal serve` of its own.
// The main thread's loop is the control loop. A stop goes in steps: clients' connections are closed
// between two requests, replicas are drained and told to stop, and when the last has gone the
// program ends. A second signal kills what is left.

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands/commands.h"
#include "apps/commands/serve_flags.h"
#include "apps/commands/up_gpus.h"
#include "apps/supervisor/balancer_traffic.h"
#include "apps/supervisor/supervisor.h"
#include "balancing/load_balancer/balancer.h"
#include "core/base/text.h"
#include "core/options/flags.h"
#include "core/runtime/bind.h"
#include "core/runtime/cpu_groups.h"
#include "core/runtime/runtime.h"
#include "core/telemetry/log.h"
#include "network/net/http_client.h"

namespace tepal::commands {
namespace {

constexpr int kBalancerThreadsMax = 8;
constexpr uint64_t kConfigBytesMax = 1 << 20;
constexpr Duration kStatePeriod = 1s;
constexpr std::streamoff kLastLineMax = 2000;
constexpr Duration kConnectionsDrainMax = 10s;  // For clients that keep asking, at a stop.

struct UpFlags {
  bool json = false;
  bool check = false;
  std::string state;
};

options::FlagSet Flags(UpFlags& flags) {
  options::FlagSet set("tepal up FILE [FLAGS]",
                       "Runs replicas of the server, the balancer in front of them and the "
                       "autoscaler over them, until Ctrl-C. examples/flower/tepal.yaml documents "
                       "the file.");
  set.Add("json", &flags.json,
          "print the state as one line of JSON every second on stdout; messages go to stderr");
  set.Add("check", &flags.check, "read the file, say what is wrong with it, and end");
  set.Add("state", &flags.state, "the directory for logs; default: the file's");
  set.Example("tepal up examples/flower/tepal.yaml",
              "the flower demo; clients at 127.0.0.1:8000, dashboard at http://127.0.0.1:8080/");
  return set;
}

int CoresAllowed() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

Result<std::string> OwnProgram() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  if (size <= 0) return Status::FromErrno(errno, "reading /proc/self/exe");
  return std::string(path, static_cast<size_t>(size));
}

// `path` as seen from the directory of `file`.
std::string BesideFile(const std::string& file, const std::string& path) {
  const size_t slash = file.rfind('/');
  if (path.starts_with('/') || slash == std::string::npos) return path;
  return Concat(file.substr(0, slash), "/", path);
}

std::string TimeOfDay(WallTime now) {
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  std::tm local{};
  localtime_r(&seconds, &local);
  char text[16];
  std::strftime(text, sizeof(text), "%H:%M:%S", &local);
  return text;
}

// The last line with something on it, of at most kLastLineMax bytes.
std::string LastLine(const std::string& path) {
  std::ifstream file(path, std::ios::ate);
  const std::streamoff size = file ? std::streamoff(file.tellg()) : 0;
  file.seekg(std::max<std::streamoff>(0, size - kLastLineMax));
  std::string text{std::istreambuf_iterator<char>(file), {}};
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

std::vector<std::string> ServeArguments(const supervisor::UpConfig& config,
                                        const std::string& repository) {
  // A replica is drained before it is told to stop, so it needs no lame-duck window.
  std::vector<std::string> arguments = {"serve", "--model-repository=" + repository,
                                        "--lame-duck-secs=0", "--http-thread-count=1"};
  if (!config.models.empty()) arguments.push_back("--model-control-mode=explicit");
  for (const std::string& model : config.models) arguments.push_back("--load-model=" + model);
  arguments.insert(arguments.end(), config.serve_flags.begin(), config.serve_flags.end());
  return arguments;
}

// Whether the file's flags leave it on. Flags that are wrong are named by the replica.
bool ServesGrpc(const std::vector<std::string>& serve_arguments) {
  ServeOptions options;
  const std::vector<std::string_view> flags(serve_arguments.begin() + 1, serve_arguments.end());
  (void)ServeFlags(options).Parse(flags);
  return options.allow_grpc;
}

lb::Balancer::Options BalancerOptions(const supervisor::BalancerConfig& config) {
  lb::Balancer::Options options;
  options.pool.policy = config.policy;
  options.pool.queue_size_max = config.queue_size_max;
  options.pool.queue_time_max = config.queue_time_max;
  return options;
}

class UpProcess {
 public:
  UpProcess(const UpFlags& flags, supervisor::UpConfig config, std::string repository)
      : flags_(flags),
        config_(std::move(config)),
        repository_(std::move(repository)),
        groups_(FailedPrecondition("not asked for")) {}

  Status Start();
  int Run();

 private:
  Status StartBalancer();
  Result<supervisor::SlotPlan> FindSlots();
  Status StartSupervisor();
  void Greet(const supervisor::SlotPlan& plan, bool grpc);
  void Tell(std::string_view line);
  void Fetch(const env::Address& to, std::string_view path, Duration time_max,
             Function<void(Result<std::string>)> done);
  void PrintState();
  void OnSignal();
  void StopReplicas();

  const UpFlags& flags_;
  const supervisor::UpConfig config_;
  const std::string repository_;
  Result<std::unique_ptr<env::CpuGroups>> groups_;  // Outlives the processes in them.
  std::unique_ptr<runtime::EpollLoop> loop_;
  std::unique_ptr<runtime::LoopThreads> threads_;
  std::unique_ptr<GpuWatch> gpus_;  // Null: slots are shares of CPU.
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<lb::Balancer> balancer_;
  std::unique_ptr<supervisor::BalancerTraffic> traffic_;
  std::unique_ptr<supervisor::Supervisor> supervisor_;
  env::Address clients_;
  env::Address admin_;
  std::string log_directory_;
  int signals_ = 0;
};

Status UpProcess::Start() {
  telemetry::LogSettings log = telemetry::GetLogSettings();
  log.info = false;  // What there is to say is said by Tell.
  RETURN_IF_ERROR(telemetry::SetLogSettings(log));
  ASSIGN_OR_RETURN(loop_, runtime::EpollLoop::New());
  RETURN_IF_ERROR(loop_->WatchSignals({SIGTERM, SIGINT}, [this](int) { OnSignal(); }));
  RETURN_IF_ERROR(StartBalancer());
  return StartSupervisor();
}

Status UpProcess::StartBalancer() {
  std::vector<env::EventLoop*> loops = {loop_.get()};
  if (const int more = std::min(CoresAllowed(), kBalancerThreadsMax) - 1; more > 0) {
    ASSIGN_OR_RETURN(threads_, runtime::LoopThreads::Start("balance", more));
    for (env::EventLoop* loop : threads_->loops()) loops.push_back(loop);
  }
  balancer_ = std::make_unique<lb::Balancer>(loops, BalancerOptions(config_.balancer),
                                             runtime::RandomSeed());
  balancer_->SetExtraState([this] { return supervisor_->StateJson(); });
  ASSIGN_OR_RETURN(clients_,
                   balancer_->Listen(config_.balancer.listen).WithContext("balancer.listen"));
  ASSIGN_OR_RETURN(admin_,
                   balancer_->ListenAdmin(config_.balancer.admin).WithContext("balancer.admin"));
  return {};
}

Result<supervisor::SlotPlan> UpProcess::FindSlots() {
  std::string no_gpu;
  if (config_.slots.source != supervisor::SlotSource::kCpu) {
    auto watch = std::make_unique<GpuWatch>(config_.slots, *loop_,
                                            [this](std::string_view line) { Tell(line); });
    Result<supervisor::GpuSlots> found = watch->LookNow();
    if (found.ok()) {
      gpus_ = std::move(watch);
      supervisor::SlotPlan plan;
      plan.description = supervisor::Describe(*found);
      for (const std::string& note : found->notes)
        plan.description += Concat("\n           ", note);
      plan.slots = std::move(found->slots);
      return plan;
    }
    if (found.status().code() != StatusCode::kNotFound) return found.status();
    no_gpu = found.status().message();
    if (config_.slots.source != supervisor::SlotSource::kAuto) {
      return FailedPrecondition(
          Concat("slots.source needs a GPU; with auto or cpu it works without one: ", no_gpu));
    }
  }
  if (config_.slots.quota != supervisor::QuotaMode::kOff) groups_ = runtime::OpenCpuGroups();
  ASSIGN_OR_RETURN(supervisor::SlotPlan plan,
                   supervisor::PlanSlots(config_.slots, CoresAllowed(), groups_));
  if (!no_gpu.empty()) plan.description += Concat("\n           CPU, because ", no_gpu);
  return plan;
}

Status UpProcess::StartSupervisor() {
  ASSIGN_OR_RETURN(supervisor::SlotPlan plan, FindSlots());
  log_directory_ = Concat(flags_.state.empty() ? config_.state_directory : flags_.state, "/logs");
  RETURN_IF_ERROR(runtime::SystemFileSystem().MakeDirectories(log_directory_));
  ASSIGN_OR_RETURN(const std::string program, OwnProgram());
  client_ = std::make_unique<net::HttpClient>(*loop_, net::HttpClient::Options());
  traffic_ =
      std::make_unique<supervisor::BalancerTraffic>(*balancer_, config_.balancer.in_flight_max);
  const std::vector<std::string> arguments = ServeArguments(config_, repository_);
  const bool grpc = ServesGrpc(arguments);
  Greet(plan, grpc);
  env::CpuGroups* const groups = plan.enforced ? groups_.value().get() : nullptr;
  supervisor::LookForSlots look;
  if (gpus_ != nullptr) look = [this](auto done) { gpus_->Look(std::move(done)); };
  supervisor_ = std::make_unique<supervisor::Supervisor>(
      supervisor::Supervisor::Options{config_, std::move(plan), program, arguments, log_directory_,
                                      grpc},
      supervisor::Supervisor::Seams{
          *loop_, loop_->processes(), *traffic_, groups, &runtime::BindListener,
          [this](const env::Address& to, std::string_view path, Duration time_max,
                 Function<void(Result<std::string>)> done) {
            Fetch(to, path, time_max, std::move(done));
          },
          &LastLine, [this](std::string_view line) { Tell(line); }, [this] { loop_->Stop(); },
          std::move(look)});
  supervisor_->Start();
  if (flags_.json) PrintState();
  return {};
}

int UpProcess::Run() {
  loop_->Run();
  Tell("stopped; no process is left");
  balancer_->Stop();
  gpus_.reset();
  supervisor_.reset();
  client_.reset();
  balancer_.reset();
  return 0;
}

void UpProcess::Greet(const supervisor::SlotPlan& plan, bool grpc) {
  std::FILE* const out = flags_.json ? stderr : stdout;
  std::fprintf(out,
               "Clients    http://%s/  (v2 protocol%s; curl http://%s/v2/health/ready)\n"
               "Dashboard  http://%s/\n"
               "Slots      %s\n"
               "Replicas   %d to %d; logs in %s\n"
               "Ctrl-C     finishes the requests in progress and stops every replica; a second one "
               "kills them\n",
               clients_.ToString().c_str(), grpc ? ", gRPC too" : "", clients_.ToString().c_str(),
               admin_.ToString().c_str(), plan.description.c_str(),
               config_.autoscaler.options.replicas_min, config_.autoscaler.options.replicas_max,
               log_directory_.c_str());
  std::fflush(out);
}

void UpProcess::Tell(std::string_view line) {
  std::FILE* const out = flags_.json ? stderr : stdout;
  std::fprintf(out, "%s  %.*s\n", TimeOfDay(loop_->WallNow()).c_str(),
               static_cast<int>(line.size()), line.data());
  std::fflush(out);
}

void UpProcess::Fetch(const env::Address& to, std::string_view path, Duration time_max,
                      Function<void(Result<std::string>)> done) {
  http::RequestHead head;
  head.method = "GET";
  head.target = path;
  head.scheme = "http";
  head.headers.Add("user-agent", "tepal-supervisor");
  client_->Fetch(to, std::move(head), {}, time_max,
                 [done = std::move(done)](Result<net::HttpClient::Response> response) mutable {
                   if (!response.ok()) return done(response.status());
                   if (response->head.status != 200) {
                     return done(Unavailable(Concat("status ", response->head.status)));
                   }
                   done(std::string(response->body.text()));
                 });
}

void UpProcess::PrintState() {
  std::puts(supervisor_->StateJson().c_str());
  std::fflush(stdout);
  loop_->RunAfter(kStatePeriod, [this] { PrintState(); });
}

void UpProcess::OnSignal() {
  if (++signals_ == 1) {
    Tell("stopping: requests in progress are finished; again to kill");
    balancer_->Drain([this] { StopReplicas(); });
    loop_->RunAfter(kConnectionsDrainMax, [this] { StopReplicas(); });
    return;
  }
  if (signals_ == 2) Tell("stopping at once");
  StopReplicas();
  supervisor_->Stop();
}

// Once, however many reasons there are.
void UpProcess::StopReplicas() {
  if (supervisor_ != nullptr && !supervisor_->stopping()) supervisor_->Stop();
}

Result<supervisor::UpConfig> ReadConfig(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, runtime::SystemFileSystem().Read(file, kConfigBytesMax));
  return supervisor::ParseUpConfig(text, file);
}

}  // namespace

int RunUp(Arguments arguments) {
  UpFlags flags;
  options::FlagSet set = Flags(flags);
  std::vector<std::string> rest;
  if (const auto exit_code = options::ParseOrExplain(set, arguments, rest)) return *exit_code;
  if (rest.size() != 1) {
    std::fputs("tepal up: expected one file, as tepal.yaml\n", stderr);
    return 2;
  }
  const std::string& file = rest.front();
  Result<supervisor::UpConfig> config = ReadConfig(file);
  if (!config.ok()) {
    std::fprintf(stderr, "%s\n", config.status().message().c_str());
    return 2;
  }
  const std::string repository = BesideFile(file, config->model_repository);
  const auto facts = runtime::SystemFileSystem().Stat(repository);
  if (!facts.ok() || !facts->is_directory) {
    std::fprintf(stderr, "%s: field 'models.repository': got '%s', expected a directory\n",
                 file.c_str(), repository.c_str());
    return 2;
  }
  if (flags.check) {
    std::printf("%s is right\n", file.c_str());
    return 0;
  }
  UpProcess process(flags, std::move(*config), repository);
  if (const Status status = process.Start(); !status.ok()) {
    std::fprintf(stderr, "tepal up: %s\n", status.message().c_str());
    return 1;
  }
  return process.Run();
}

}  // namespace tepal::commands
