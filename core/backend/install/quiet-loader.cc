// Loads a shared library and returns what it printed on standard error meanwhile.
//
// TensorFlow logs while its libraries initialise, before its own log level applies. Nothing can be set before that, so
// standard error goes into a memory file for this one call. A library that aborts takes the process with it; then the
// file is copied to the real standard error first.

#include <dlfcn.h>
#include <node_api.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mutex>
#include <string>

namespace {

int captured = -1;
int original = -1;

// Safe in a signal handler.
void CopyToOriginal() {
  char buffer[4096];
  lseek(captured, 0, SEEK_SET);
  for (ssize_t length; (length = read(captured, buffer, sizeof buffer)) > 0;) {
    if (write(original, buffer, length) < 0) return;
  }
}

void OnAbort(int signal) {
  CopyToOriginal();
  raise(signal);  // the default action, as SA_RESETHAND says
}

std::string ReadCaptured() {
  std::string text;
  char buffer[4096];
  lseek(captured, 0, SEEK_SET);
  for (ssize_t length; (length = read(captured, buffer, sizeof buffer)) > 0;) text.append(buffer, length);
  return text;
}

std::string LoadQuietly(const char* path) {
  static std::mutex one_at_a_time;  // workers share the descriptors
  std::lock_guard<std::mutex> lock(one_at_a_time);
  captured = memfd_create("fitloop-stderr", MFD_CLOEXEC);
  original = dup(STDERR_FILENO);  // -1 where standard error is closed
  if (captured < 0 || original < 0 || dup2(captured, STDERR_FILENO) < 0) {
    if (captured >= 0) close(captured);
    if (original >= 0) close(original);
    dlopen(path, RTLD_LAZY);
    return "";
  }

  struct sigaction on_abort = {}, old_abort, old_illegal;
  on_abort.sa_handler = OnAbort;
  on_abort.sa_flags = SA_RESETHAND | SA_NODEFER;
  sigaction(SIGABRT, &on_abort, &old_abort);
  sigaction(SIGILL, &on_abort, &old_illegal);
  dlopen(path, RTLD_LAZY);  // stays open; a failure shows when Node loads the same file
  sigaction(SIGABRT, &old_abort, nullptr);
  sigaction(SIGILL, &old_illegal, nullptr);

  dup2(original, STDERR_FILENO);
  std::string text = ReadCaptured();
  close(original);
  close(captured);
  return text;
}

std::string ToString(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return "";
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, &text[0], length + 1, &length);
  return text;
}

// load(path): what the library printed
napi_value Load(napi_env env, napi_callback_info info) {
  napi_value path;
  size_t count = 1;
  napi_get_cb_info(env, info, &count, &path, nullptr, nullptr);
  const std::string text = LoadQuietly(ToString(env, path).c_str());
  napi_value result = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &result);
  return result;
}

// setEnvironment(name, value): for libraries in the process of a worker, whose process.env is a copy
napi_value SetEnvironment(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  setenv(ToString(env, arguments[0]).c_str(), ToString(env, arguments[1]).c_str(), 1);
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"load", nullptr, Load, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"setEnvironment", nullptr, SetEnvironment, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, 2, functions);
  return exports;
}
