// A shared library opened at run time and never closed: what the driver loads keeps threads.

#pragma once

#include <dlfcn.h>

#include <string>
#include <type_traits>

namespace tepal::gpu {

class Library {
 public:
  explicit Library(const char* name) : name_(name), handle_(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ != nullptr) return;
    const char* why = dlerror();
    problem_ = why == nullptr ? name_ + " cannot be opened" : why;
  }

  template <typename Signature>
  void Find(Signature*& function, const char* symbol) {
    if (!problem_.empty()) return;
    function = reinterpret_cast<Signature*>(dlsym(handle_, symbol));
    if (function == nullptr) problem_ = name_ + " has no " + symbol;
  }

  // Empty when it was opened and everything was found.
  const std::string& problem() const { return problem_; }

 private:
  const std::string name_;
  void* const handle_;
  std::string problem_;
};

}  // namespace tepal::gpu
