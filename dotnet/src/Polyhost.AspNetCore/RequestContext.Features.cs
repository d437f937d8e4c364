using System.Collections;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;

namespace Polyhost.AspNetCore;

internal abstract partial class RequestContext
    : IFeatureCollection, IEndpointFeature, IRouteValuesFeature, IBadRequestExceptionFeature
{
    /// <summary>Stands for a feature that the application has taken away.</summary>
    private static readonly object s_removed = new();

    private static readonly List<KeyValuePair<Type, object>> s_noFeatures = [];

    /// <summary>What the application has put in place; null for what is there by itself.</summary>
    private readonly object?[] _features = new object?[Slot.Count];
    private List<KeyValuePair<Type, object>>? _otherFeatures;
    private int _revision;
    private bool _hasGivenFeatures;
    private Endpoint? _endpoint;
    private RouteValueDictionary? _routeValues;

    bool IFeatureCollection.IsReadOnly => false;

    int IFeatureCollection.Revision => _revision;

    Endpoint? IEndpointFeature.Endpoint
    {
        get => _endpoint;
        set => _endpoint = value;
    }

    RouteValueDictionary IRouteValuesFeature.RouteValues
    {
        get => _routeValues ??= [];
        set => _routeValues = value;
    }

    Exception? IBadRequestExceptionFeature.Error => _rejection;

    object? IFeatureCollection.this[Type key]
    {
        get => Slot.Of(key) is >= 0 and var slot ? Feature(slot) : OtherFeature(key);
        set => SetFeature(Slot.Of(key), key, value);
    }

    TFeature? IFeatureCollection.Get<TFeature>()
        where TFeature : default
    {
        var slot = SlotOf<TFeature>.Index;
        return (TFeature?)(slot >= 0 ? Feature(slot) : OtherFeature(typeof(TFeature)));
    }

    void IFeatureCollection.Set<TFeature>(TFeature? instance)
        where TFeature : default =>
        SetFeature(SlotOf<TFeature>.Index, typeof(TFeature), instance);

    IEnumerator<KeyValuePair<Type, object>> IEnumerable<KeyValuePair<Type, object>>.GetEnumerator()
    {
        for (var slot = 0; slot < Slot.Count; slot++)
        {
            var isListed = slot < Slot.FirstOfConnection || slot >= Slot.FirstGiven || _features[slot] is not null;
            if (isListed && Feature(slot) is { } feature)
            {
                yield return new(Slot.TypeOf(slot), feature);
            }
        }
        foreach (var pair in _otherFeatures ?? s_noFeatures)
        {
            yield return pair;
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => ((IEnumerable<KeyValuePair<Type, object>>)this).GetEnumerator();

    private object? Feature(int slot)
    {
        var given = _features[slot];
        if (given is null)
        {
            return slot < Slot.FirstGiven ? Own(slot) : null;
        }
        return ReferenceEquals(given, s_removed) ? null : given;
    }

    private RequestContext? Own(int slot) => slot != Slot.Upgrade || _request.Version < 20 ? this : null;

    private void SetFeature(int slot, Type type, object? feature)
    {
        _revision++;
        if (slot >= 0)
        {
            _features[slot] = feature ?? s_removed;
            _hasGivenFeatures = true;
            return;
        }
        var others = _otherFeatures ??= [];
        var index = others.FindIndex(pair => pair.Key == type);
        if (index >= 0)
        {
            others.RemoveAt(index);
        }
        if (feature is not null)
        {
            others.Add(new(type, feature));
        }
    }

    private object? OtherFeature(Type type)
    {
        foreach (var pair in _otherFeatures ?? s_noFeatures)
        {
            if (pair.Key == type)
            {
                return pair.Value;
            }
        }
        if (DataRates.Feature(this, type) is { } rate)
        {
            (_otherFeatures ??= []).Add(new(type, rate));
            return rate;
        }
        return null;
    }

    private void ResetFeatures()
    {
        if (_hasGivenFeatures)
        {
            Array.Clear(_features);
            _hasGivenFeatures = false;
        }
        _otherFeatures?.Clear();
        _endpoint = null;
        _routeValues?.Clear();
        _revision++;
    }
}
