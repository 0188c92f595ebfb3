#include "apps/commands/run_program.h"

#include <unistd.h>

#include <cstdlib>

#include "core/base/text.h"
#include "core/runtime/runtime.h"

namespace tepal::commands {

Result<std::string> FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* const path = std::getenv("PATH");
  for (const std::string_view folder : Split(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    std::string program = Concat(folder, "/", name);
    if (access(program.c_str(), X_OK) == 0) return program;
  }
  return NotFound(Concat("no program '", name, "' along PATH"));
}

Status RunProgram(env::ProcessOptions options) {
  ASSIGN_OR_RETURN(const auto loop, runtime::EpollLoop::New());
  ASSIGN_OR_RETURN(options.program, FindProgram(options.program));
  const std::string program = options.program;
  env::ProcessExit exit;
  ASSIGN_OR_RETURN(const auto process,
                   loop->processes().Start(std::move(options), [&](env::ProcessExit how) {
                     exit = how;
                     loop->Stop();
                   }));
  loop->Run();
  if (!exit.signalled && exit.code == 0) return {};
  return FailedPrecondition(
      Concat(program, exit.signalled ? " was ended by signal " : " ended with code ", exit.code));
}

}  // namespace tepal::commands
