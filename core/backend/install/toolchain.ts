/** What differs between operating systems: the wheel's libraries, and how the addon is compiled and linked. */
import { join } from "node:path";

export interface Toolchain {
  /** Files of the wheel below `tensorflow/`: libraries, and what the linker alone needs. */
  readonly libraries: readonly string[];
  /** Where the addon lies in a cache entry. */
  readonly addon: string;
  /** Whether there is a loader that hides TensorFlow's messages; it needs Linux's memory files. */
  readonly quietLoader: boolean;
  /** Whether the addon can join a group of processes: our unit needs GNU's linker and ELF. */
  readonly groups: boolean;
  readonly flags: readonly string[];
  /** Asked in this order, after `$CXX`; all take gcc's options. */
  readonly compilers: readonly string[];
  readonly compilerHint: string;
  /** Options of the linker for an entry under construction. */
  link(directory: string): readonly string[];
}

const optimised = ["-O2", "-std=c++17"] as const;
const loadable = ["-shared", "-DNAPI_VERSION=8"] as const;

const linux: Toolchain = {
  libraries: ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"],
  addon: "tfjs_binding.node",
  quietLoader: true,
  groups: true,
  flags: [...optimised, "-fPIC", ...loadable],
  compilers: ["g++", "c++", "clang++"],
  compilerHint: "Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++",
  link: (directory) => [
    `-L${join(directory, "tensorflow")}`,
    ...linux.libraries.map((name) => `-l:${name}`),
    // Relative to the addon, so that the folder may be renamed and moved.
    "-Wl,-rpath,$ORIGIN/tensorflow",
  ],
};

const mac: Toolchain = {
  libraries: ["libtensorflow_cc.2.dylib", "libtensorflow_framework.2.dylib"],
  addon: "tfjs_binding.node",
  quietLoader: false,
  groups: false,
  flags: [...optimised, "-fPIC", ...loadable],
  compilers: ["clang++", "c++"],
  compilerHint: "xcode-select --install",
  link: (directory) => [
    ...mac.libraries.map((name) => join(directory, "tensorflow", name)),
    "-Wl,-rpath,@loader_path/tensorflow",
    "-undefined", // Node's own functions, which the process has
    "dynamic_lookup",
  ],
};

/** The C library of the Windows wheel is a Python extension's: it needs python311.dll beside it. */
export const windowsPython = "tensorflow/python/python311.dll";

const windows: Toolchain = {
  libraries: ["python/_pywrap_tensorflow_common.dll", "python/_pywrap_tensorflow_common.dll.if.lib"],
  addon: "tensorflow/python/tfjs_binding.node", // Windows looks for an addon's libraries beside it
  quietLoader: false,
  groups: false,
  flags: [...optimised, ...loadable],
  compilers: ["clang++", "g++"],
  compilerHint: "winget install LLVM.LLVM, with the C++ build tools of Visual Studio",
  link: (directory) => [
    join(directory, "tensorflow", windows.libraries[1]!),
    ...nodeLibraries.map((name) => join(directory, `${name}.lib`)),
  ],
};

/** Lists of Node's functions (`<name>.def`), from which Windows needs an import library each. */
export const nodeLibraries = ["node_api", "js_native_api"] as const;

/** The toolchain of a platform such as `linux-x64`. */
export function toolchainOf(platform: string): Toolchain {
  if (platform.startsWith("darwin-")) return mac;
  return platform.startsWith("win32-") ? windows : linux;
}
