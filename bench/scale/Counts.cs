namespace WixOAuth.Scale;

/// <summary>What was counted over a stretch of simulated time. Storage transactions as Azure bills them: one for each request.</summary>
internal sealed record Counts
{
    public double DueQueries { get; set; }

    public double Reads { get; set; }

    /// <summary>Pages of all instances, which a sweep counts every ten minutes.</summary>
    public double CountingReads { get; set; }

    public double Leases { get; set; }

    public double Commits { get; set; }

    public double OtherWrites { get; set; }

    public double LastUseReads { get; set; }

    public double LastUseWrites { get; set; }

    /// <summary>Refreshes at Wix.</summary>
    public double WixCalls { get; set; }

    /// <summary>Questions for a site's name and address: one a day for each site in use.</summary>
    public double SiteCalls { get; set; }

    public double GetTokens { get; set; }

    /// <summary>GetTokens that were not answered from memory.</summary>
    public double AskedStorage { get; set; }

    /// <summary>GetTokens whose caller waited for Wix.</summary>
    public double WaitedForWix { get; set; }

    /// <summary>GetTokens that got no token.</summary>
    public double Refused { get; set; }

    /// <summary>Seconds in which an HTTP instance had anything to do.</summary>
    public double BusyHttpSeconds { get; set; }

    public double Sweeps { get; set; }

    public double SweepSeconds { get; set; }

    public double SweptRefreshes { get; set; }

    /// <summary>Sweeps that left something undone.</summary>
    public double CutOff { get; set; }

    public double Transactions => DueQueries + Reads + CountingReads + Leases + Commits + OtherWrites + LastUseReads + LastUseWrites;

    /// <summary>Each figure of both, by <paramref name="combine"/>.</summary>
    public Counts With(Counts other, Func<double, double, double> combine)
    {
        var result = new Counts();
        foreach (var property in typeof(Counts).GetProperties().Where(property => property.CanWrite))
        {
            property.SetValue(result, combine((double)property.GetValue(this)!, (double)property.GetValue(other)!));
        }

        return result;
    }
}
