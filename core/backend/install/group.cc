// Joins this process to TensorFlow's collective runtime: one more unit of the addon, so that the binding's source stays as it is.
//
// The linker hands over two of the binding's calls (`--wrap`). Without the variable FITLOOP_SERVER_DEF nothing changes. With it,
// the context that the binding makes is a worker of that cluster, and the addon has two more functions, `watchPeers` and
// `groupProblem`.
//
// TensorFlow's server has no authentication and listens on every interface. FITLOOP_LOOPBACK makes it listen on 127.0.0.1
// alone: its call of `bind` is redirected, in the tables of its libraries, to one that changes the address.

#include <arpa/inet.h>
#include <elf.h>
#include <link.h>
#include <node_api.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/eager/c_api.h"

extern "C" {
// Exported, and declared in a header that is not among those that the installation keeps.
void TFE_EnableCollectiveOps(TFE_Context*, const void* proto, size_t length, TF_Status*);
void TFE_AbortCollectiveOps(TFE_Context*, TF_Status*);
void TFE_CollectiveOpsCheckPeerHealth(TFE_Context*, const char* task, int64_t milliseconds, TF_Status*);
TFE_Context* __real_TFE_NewContext(const TFE_ContextOptions*, TF_Status*);
napi_status __real_napi_define_properties(napi_env, napi_value, size_t, const napi_property_descriptor*);
}

namespace {

TFE_Context* group_context = nullptr;
std::mutex problem_lock;
std::string problem;  // why this process is in no group, or no longer

void SetProblem(const std::string& text) {
  std::lock_guard<std::mutex> lock(problem_lock);
  if (problem.empty()) problem = text;
}

std::string FromHex(const char* text) {
  std::string bytes;
  for (; text[0] && text[1]; text += 2) {
    const char pair[3] = {text[0], text[1], 0};
    bytes.push_back(static_cast<char>(strtol(pair, nullptr, 16)));
  }
  return bytes;
}

// ------------------------------------------------------------------------------------------------------- loopback

// Any address becomes 127.0.0.1; on a socket for both families that is its mapped form.
int BindToLoopback(int socket, const sockaddr* address, socklen_t length) {
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in changed;
    memcpy(&changed, address, sizeof changed);
    changed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return bind(socket, reinterpret_cast<sockaddr*>(&changed), sizeof changed);
  }
  if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 changed;
    memcpy(&changed, address, sizeof changed);
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &changed.sin6_addr);
    return bind(socket, reinterpret_cast<sockaddr*>(&changed), sizeof changed);
  }
  return bind(socket, address, length);
}

// Redirects calls of `bind` from TensorFlow's libraries. An addon's own symbols come after those of the C library, so the
// slots are written. Returns how many there were.
int RedirectBind() {
  int redirected = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* count) {
        if (!strstr(info->dlpi_name, "libtensorflow")) return 0;
        const ElfW(Sym)* symbols = nullptr;
        const char* names = nullptr;
        const ElfW(Rela)* slots = nullptr;
        size_t bytes = 0;
        for (int n = 0; n < info->dlpi_phnum; n++) {
          if (info->dlpi_phdr[n].p_type != PT_DYNAMIC) continue;
          auto* entry = reinterpret_cast<const ElfW(Dyn)*>(info->dlpi_addr + info->dlpi_phdr[n].p_vaddr);
          for (; entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(entry->d_un.d_ptr);
            if (entry->d_tag == DT_STRTAB) names = reinterpret_cast<const char*>(entry->d_un.d_ptr);
            if (entry->d_tag == DT_JMPREL) slots = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
            if (entry->d_tag == DT_PLTRELSZ) bytes = entry->d_un.d_val;
          }
        }
        if (!symbols || !names || !slots) return 0;
        for (size_t n = 0; n < bytes / sizeof *slots; n++) {
          if (strcmp(names + symbols[ELF64_R_SYM(slots[n].r_info)].st_name, "bind") != 0) continue;
          auto* slot = reinterpret_cast<void**>(info->dlpi_addr + slots[n].r_offset);
          const long page = sysconf(_SC_PAGESIZE);
          void* start = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(slot) & ~(page - 1));
          if (mprotect(start, page, PROT_READ | PROT_WRITE) != 0) continue;
          *slot = reinterpret_cast<void*>(&BindToLoopback);
          ++*static_cast<int*>(count);
        }
        return 0;
      },
      &redirected);
  return redirected;
}

// ------------------------------------------------------------------------------------------------------- watchdog

// Looks after the peers, since one that hangs (SIGSTOP, a dead network) resets no connection. A collective's own
// timeout_seconds would cost two sleeping threads a call. gRPC's threads answer, so a peer that evaluates for minutes is well.
void Watch(std::vector<int> peers, double seconds) {
  for (;;) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds / 2));
    for (const int peer : peers) {
      const std::string task = "/job:worker/replica:0/task:" + std::to_string(peer);
      TF_Status* status = TF_NewStatus();
      TFE_CollectiveOpsCheckPeerHealth(group_context, task.c_str(), static_cast<int64_t>(seconds * 1000), status);
      const bool lost = TF_GetCode(status) != TF_OK;
      if (lost) {
        SetProblem("lost " + std::to_string(peer) + ": " + TF_Message(status));
        TF_SetStatus(status, TF_UNAVAILABLE, ("lost " + task).c_str());
        TFE_AbortCollectiveOps(group_context, status);
      }
      TF_DeleteStatus(status);
      if (lost) return;
    }
  }
}

// watchPeers(rank, size, seconds): from now on a peer that does not answer for so long ends every sum with an error
napi_value WatchPeers(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  int32_t rank = 0, size = 0;
  double seconds = 0;
  napi_get_value_int32(env, arguments[0], &rank);
  napi_get_value_int32(env, arguments[1], &size);
  napi_get_value_double(env, arguments[2], &seconds);
  std::vector<int> peers;
  for (int peer = 0; peer < size; peer++) {
    if (peer != rank) peers.push_back(peer);
  }
  std::thread(Watch, peers, seconds).detach();
  return nullptr;
}

// groupProblem(): why this process is in no group, or no longer; "" where nothing is wrong
napi_value GroupProblem(napi_env env, napi_callback_info) {
  std::lock_guard<std::mutex> lock(problem_lock);
  napi_value result = nullptr;
  napi_create_string_utf8(env, problem.data(), problem.size(), &result);
  return result;
}

}  // namespace

extern "C" TFE_Context* __wrap_TFE_NewContext(const TFE_ContextOptions* options, TF_Status* status) {
  TFE_Context* context = __real_TFE_NewContext(options, status);
  const char* definition = getenv("FITLOOP_SERVER_DEF");
  if (!definition || TF_GetCode(status) != TF_OK || group_context) return context;
  if (getenv("FITLOOP_LOOPBACK") && RedirectBind() == 0) {
    SetProblem("TensorFlow's server cannot be kept on this machine: its libraries have no call of bind");
    return context;
  }
  const std::string bytes = FromHex(definition);
  TF_Status* joined = TF_NewStatus();
  TFE_EnableCollectiveOps(context, bytes.data(), bytes.size(), joined);
  if (TF_GetCode(joined) == TF_OK) {
    group_context = context;
  } else {
    SetProblem(TF_Message(joined));
  }
  TF_DeleteStatus(joined);
  return context;
}

extern "C" napi_status __wrap_napi_define_properties(napi_env env, napi_value exports, size_t count,
                                                     const napi_property_descriptor* properties) {
  if (count > 1 && getenv("FITLOOP_SERVER_DEF")) {  // its functions; each of its constants has a call of its own
    const napi_property_descriptor functions[] = {
        {"watchPeers", nullptr, WatchPeers, nullptr, nullptr, nullptr, napi_default, nullptr},
        {"groupProblem", nullptr, GroupProblem, nullptr, nullptr, nullptr, napi_default, nullptr},
    };
    const napi_status added = __real_napi_define_properties(env, exports, 2, functions);
    if (added != napi_ok) return added;
  }
  return __real_napi_define_properties(env, exports, count, properties);
}
