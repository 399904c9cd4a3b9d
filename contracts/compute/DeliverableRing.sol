// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DataContract} from "../lib/DataContract.sol";
import {Uuid} from "../lib/Uuid.sol";
import {Deliverable, DeliverableState, DeliverableTerms, IFineTuningServing} from "./IFineTuningServing.sol";

/// @notice Three slots; the fourth is written when something is paid.
struct StoredDeliverable {
    bytes16 id;
    uint40 deliveredAt;
    uint88 fee;
    bytes32 root;
    address signer;
    uint40 acknowledgeBy;
    uint40 handOverBy;
    DeliverableState state;
    /// Where the code is that holds the secret.
    address secret;
    uint88 paid;
}

/// @notice The last deliverables of a provider to a user.
struct Ring {
    /// Deliverables so far, those that made place included: number n is at n modulo the places.
    uint64 count;
    uint88 feeCeiling;
    StoredDeliverable[20] places;
}

using DeliverableRings for Ring global;
using DeliverableRings for StoredDeliverable global;

/// @title Deliverables of one provider to one user
/// @dev They are found by looking at the newest first: the one in question is the newest nearly always, and an index of ids would cost a slot for each.
library DeliverableRings {
    uint256 internal constant PLACES = 20;

    /// @dev A place for the deliverable `id`, with what was there before. Reverts PreviousDeliverableNotAcknowledged, DeliverableAlreadyExists,
    /// CannotEvictUnsettledDeliverable.
    function place(Ring storage ring, bytes16 id) internal returns (StoredDeliverable storage free, bool evicts) {
        uint256 count = ring.count;
        evicts = count >= PLACES;
        free = ring.places[count % PLACES];
        if (count != 0) {
            StoredDeliverable storage newest = ring.places[(count - 1) % PLACES];
            require(
                newest.state != DeliverableState.Delivered,
                IFineTuningServing.PreviousDeliverableNotAcknowledged(Uuid.format(newest.id))
            );
            require(!_has(ring, id), IFineTuningServing.DeliverableAlreadyExists(Uuid.format(id)));
        }
        if (evicts) {
            require(isSettled(free.state), IFineTuningServing.CannotEvictUnsettledDeliverable(Uuid.format(free.id)));
        }
        ring.count = uint64(count + 1);
    }

    /// @dev Overwrites what was there. The slot of what is paid is cleared only if it was written.
    function deliver(
        StoredDeliverable storage free,
        bytes16 id,
        uint256 fee,
        bytes32 root,
        address signer,
        uint256 window
    ) internal {
        if (free.state != DeliverableState.None) (free.secret, free.paid) = (address(0), 0);
        (free.id, free.deliveredAt, free.fee) = (id, uint40(block.timestamp), uint88(fee));
        free.root = root;
        (free.signer, free.acknowledgeBy) = (signer, uint40(block.timestamp + window));
        (free.handOverBy, free.state) = (0, DeliverableState.Delivered);
    }

    function _has(Ring storage ring, bytes16 id) private view returns (bool) {
        (uint256 oldest, uint256 end) = span(ring);
        for (uint256 i = end; i > oldest; --i) if (ring.places[(i - 1) % PLACES].id == id) return true;
        return false;
    }

    /// @dev Reverts DeliverableNotExists.
    function find(Ring storage ring, string calldata text) internal view returns (StoredDeliverable storage) {
        bytes16 id = Uuid.parse(text);
        (uint256 oldest, uint256 end) = span(ring);
        for (uint256 i = end; i > oldest; --i) {
            StoredDeliverable storage found = ring.places[(i - 1) % PLACES];
            if (found.id == id) return found;
        }
        revert IFineTuningServing.DeliverableNotExists(text);
    }

    /// @dev Numbers of the deliverables that are kept: from the first up to, but without, the second.
    function span(Ring storage ring) internal view returns (uint256 oldest, uint256 end) {
        end = ring.count;
        oldest = end > PLACES ? end - PLACES : 0;
    }

    /// @dev All that are kept, in the shape of the public SDK, the oldest first.
    function all(Ring storage ring) internal view returns (Deliverable[] memory list) {
        (uint256 oldest, uint256 end) = span(ring);
        list = new Deliverable[](end - oldest);
        for (uint256 i = 0; i < list.length; ++i) list[i] = show(ring.places[(oldest + i) % PLACES]);
    }

    /// @dev In the shape of the public SDK.
    function show(StoredDeliverable storage stored) internal view returns (Deliverable memory) {
        address secret = stored.secret;
        return
            Deliverable({
                id: Uuid.format(stored.id),
                modelRootHash: abi.encodePacked(stored.root),
                encryptedSecret: secret == address(0) ? bytes("") : DataContract.read(secret),
                acknowledged: isAcknowledged(stored.state),
                timestamp: stored.deliveredAt,
                settled: isSettled(stored.state)
            });
    }

    function terms(StoredDeliverable storage stored) internal view returns (DeliverableTerms memory) {
        bool owed = stored.state == DeliverableState.Owed;
        return
            DeliverableTerms({
                state: stored.state,
                fee: stored.fee,
                paid: stored.paid,
                held: owed ? rest(stored) : 0,
                signer: stored.signer,
                acknowledgeBy: stored.acknowledgeBy,
                handOverBy: owed ? stored.handOverBy : 0
            });
    }

    /// @dev Wei of the fee that the provider did not get. While the secret is owed, that is what is held for it.
    function rest(StoredDeliverable storage stored) internal view returns (uint256) {
        return stored.fee - stored.paid;
    }

    function isAcknowledged(DeliverableState state) internal pure returns (bool) {
        return
            state == DeliverableState.Acknowledged ||
            state == DeliverableState.Owed ||
            state == DeliverableState.Settled;
    }

    function isSettled(DeliverableState state) internal pure returns (bool) {
        return
            state == DeliverableState.Penalised ||
            state == DeliverableState.Settled ||
            state == DeliverableState.Abandoned;
    }
}
