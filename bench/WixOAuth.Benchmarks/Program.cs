using BenchmarkDotNet.Running;
using WixOAuth.Benchmarks;

BenchmarkSwitcher.FromAssembly(typeof(Service).Assembly).Run(args);
